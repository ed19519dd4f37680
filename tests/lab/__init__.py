"""The lab: real network namespaces on one machine, joined as an office, the internet and a factory are.

        office LAN 10.10.1.0/24                               site LAN 10.20.1.0/24     plant LAN 192.168.50.0/24
    pc -------------------- office ---- internet ---- factory -------------------- site ---------------- plant
    eth0 .2          lan0 .1  wan0      GM           wan0  lan0 .1     eth0 .2      eth1 .1             br0 .10
                     NAT, firewall      203.0.113.10 NAT, firewall     SM uplink    SM plant side       the PLC
    pc2 (.3), pc3, ...                  and .11      factory2 -------------------- site2 -------------- plant2
                                                                                   plant-b (.11), ... on br0

    with Lab() as lab:                                        # up in 0.2 s, down in 0.1 s, nothing is left
        lab.pc.run(["ip", "route"]).stdout                    # CommandFailed if it fails or hangs
        gm = lab.internet.start(["gm", "serve"], name="gm")   # -> Process; user="nobody", env={}, stdin_text=""
        gm.wait_for_line(r"ready on ([0-9]+)", deadline_s=5)[1]  # event-driven; gm.kill9(), gm.terminate(), gm.log
        lab.plant.start_module("lab.plc").wait_for_line("listens")
        ping(lab.pc, "203.0.113.10", 5).received              # Pings; knock(lab.pc, "203.0.113.10", 443) == "open"
        lab.line("factory-site").set(Condition(rate_mbit=20, delay_ms=10, loss_percent=1))  # the whole state
        lab.line("pc-office").cut()                           # also mend, unplug, plug, change(...), clear
        lab.firewall("factory").close_ports(11444, 443)       # also allow_only_proxy, open
        lab.site.change_address("10.20.1.77/24")
        pc2, host = lab.add_pc(), lab.add_host("plant")       # also site2, plant2 = lab.add_site("10.1.0.0/24")
        proxy = start_proxy(lab, "factory")                   # HTTP CONNECT with a login: proxy.url
        with MitmRelay(lab, "office", certificate, key) as mitm:
            mitm.wait_for_conversation(1).received            # every byte that the client sent after the handshake
        wait_until(lambda: ..., 5, "the route to appear")     # for what has no event

Hosts of a plant have no gateway. The prefix of the namespaces (`gl-pc`) is GATELINK_LAB_PREFIX, `gl` by default; a
second lab with the same prefix is refused, and what a crash left is removed at the next start. `./lab` is the command.
"""

from lab.exceptions import CommandFailed, LabError, LabInUse, MissingRights, TimedOut
from lab.firewalls import Firewall, Rules
from lab.lab import Lab
from lab.lines import Condition, Line
from lab.mitm import Conversation, MitmRelay
from lab.places import Completed, Place
from lab.probes import Pings, knock, ping
from lab.processes import Process
from lab.proxy import Proxy, start_proxy
from lab.waiting import wait_until

__all__ = [
    "CommandFailed",
    "Completed",
    "Condition",
    "Conversation",
    "Firewall",
    "Lab",
    "LabError",
    "LabInUse",
    "Line",
    "MissingRights",
    "MitmRelay",
    "Pings",
    "Place",
    "Process",
    "Proxy",
    "Rules",
    "TimedOut",
    "knock",
    "ping",
    "start_proxy",
    "wait_until",
]

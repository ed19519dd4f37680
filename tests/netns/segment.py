"""The machine's Ethernet as bridged sessions meet it: who is on it, and programs of a PC that is on it, too.

The programs are run by `run`; the first word of each is the PC's adapter.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lab import Lab, Place, Process

TESTS = Path(__file__).resolve().parent.parent
NEIGHBOUR, PC_ADDRESS = "192.168.50.11", "192.168.50.200"

IDENTIFY = """
import sys, time
from scapy.config import conf
conf.sniff_promisc = False
from scapy.arch import get_if_hwaddr
from scapy.contrib.pnio import ProfinetIO
from scapy.contrib.pnio_dcp import DCPNameOfStationBlock, ProfinetDCP
from scapy.layers.l2 import Ether
port = conf.L2socket(iface=sys.argv[1], type=0x8892)
ask = Ether(src=get_if_hwaddr(sys.argv[1]), dst="01:0e:cf:00:00:00", type=0x8892) / ProfinetIO(frameID=0xFEFE)
port.send(ask / ProfinetDCP(service_id=5, service_type=0, xid=7, option=255, sub_option=255, dcp_data_length=4))
end = time.monotonic() + float(sys.argv[2])
while (rest := end - time.monotonic()) > 0 and port.select([port], rest):
    answer = port.recv()
    if answer and answer.haslayer(ProfinetDCP) and answer[ProfinetDCP].service_type == 1:
        print(answer[DCPNameOfStationBlock].name_of_station.decode(), answer.src); break
else: print("silent")
"""
"""PROFINET DCP identify by scapy; second word: how long to wait, in seconds. Prints name and MAC of who answers."""

LIST_IDENTITY = """
import socket, sys
from sitemanager.core.discovery import ethernet_ip
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); port.settimeout(10)
port.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
port.bind(("192.168.50.200", 0)); port.sendto(ethernet_ip.request(), (sys.argv[2], 44818))
try:
    data, (address, _) = port.recvfrom(2048); print(address, ethernet_ip.parse(data, address).vendor)
except TimeoutError: print("silent")
"""
"""EtherNet/IP ListIdentity from the PC's address in the plant; second word: the broadcast address."""

FRAMES = """
import socket, struct, sys
port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); port.bind((sys.argv[1], 0))
mac = port.getsockname()[4]
def frame(kind, payload, source=mac, target=b"\\xff" * 6): return (target + source + kind + payload).ljust(60, b"\\0")
def arp(ip, own, source=mac):
    return frame(b"\\x08\\x06", struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + source + socket.inet_aton(own)
                 + bytes(6) + socket.inet_aton(ip), source)
def udp(sport, dport, own="0.0.0.0", to="255.255.255.255"):
    body = struct.pack("!HHHH", sport, dport, 40, 0) + bytes(32)
    head = struct.pack("!BBHHHBBH4s4s", 69, 0, 60, 7, 0, 64, 17, 0, socket.inet_aton(own), socket.inet_aton(to))
    total = sum(struct.unpack("!10H", head)); total = (total & 0xFFFF) + (total >> 16)
    return frame(b"\\x08\\x00", head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + body)
if sys.argv[2] == "storm":
    for _ in range(2000): port.send(arp("192.168.50.10", "192.168.50.200"))
elif sys.argv[2] == "strange":
    port.send(udp(67, 68, "192.168.50.12")); port.send(udp(44818, 44818, "192.168.50.12", "192.168.50.255"))
    port.send(arp("192.168.50.200", "192.168.50.12")); port.send(frame(b"\\x88\\xcc", b"\\2\\7\\4" + mac))
else:
    port.send(udp(68, 67)); port.send(udp(67, 68, "192.168.50.200"))       # a DHCP client, a DHCP server
    port.send(udp(137, 137, "192.168.50.200", "192.168.50.255"))            # a broadcast of no granted service
    port.send(arp("192.168.50.99", "192.168.50.200"))                       # somebody who is not granted
    port.send(arp("192.168.50.11", "192.168.50.1"))                         # in the SiteManager's name
    port.send(arp("192.168.50.10", "192.168.50.10"))                        # in the PLC's name
    port.send(arp("192.168.50.10", "192.168.50.200", b"\\2\\3\\4\\5\\6\\7"))  # with another MAC
    port.send(frame(b"\\x88\\xcc", b"\\2\\7\\4" + mac))                      # LLDP
    port.send(frame(b"\\x86\\xdd", bytes(40)))                              # IPv6
    port.send(frame(b"\\x08\\x00", bytes(46)))                              # nonsense
"""
"""Second word: `storm`, 2,000 questions for the PLC; `odd`, one of each frame of a PC that has to stay outside; or
`strange`, broadcasts of a host in the plant that is not granted."""


def mac_of(place: Place, device: str) -> str:
    """The MAC of an interface."""
    (link,) = json.loads(place.run(["ip", "-j", "link", "show", "dev", device]).stdout)
    return str(link["address"])


def run(place: Place, program: str, *words: str) -> str:
    """What a program says."""
    path = f"{TESTS}:{TESTS.parent / 'firmware'}:{TESTS.parent / 'gatelink'}"
    argv = [sys.executable, "-W", "ignore", "-c", program, *words]
    return place.run(argv, env={"PYTHONPATH": path}).stdout.strip()


def populate(lab: Lab) -> Process:
    """Let an EtherNet/IP controller and a PROFINET station be beside the PLC; return who hears what the SM sends."""
    host = lab.add_host()
    ear = lab.plant.start_module("netns.link_listener", "port-site", name="ear")
    started = [
        (host.start_module("lab.simulators", "ethernet-ip", NEIGHBOUR), "is ready"),
        (lab.plant.start_module("lab.simulators", "profinet", "br0"), "is ready"),
        (ear, "listening"),
    ]
    for process, words in started:
        process.wait_for_line(words, 60)
    return ear

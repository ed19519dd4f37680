"""What a user may not reach, tried with real packets from PCs whose users bend their own routes.

Each denied thing is shown to be there (somebody else reaches it), and who listens at the plant, at the SM's uplink, at
the SM's programs and at the other PC says that nothing arrived.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gatelink.tunnel_mac import tunnel_mac
from lab import Lab, Place, Process, knock, ping, wait_until
from lab.layout import OFFICE_LAN_ADDRESS
from lab.products import APPLIANCE, DEVICE, PLC_ADDRESS, LinkManager, System
from netns.link_ground import Poller, configure_lm, quick_system

pytestmark = pytest.mark.netns

NEIGHBOUR = "192.168.50.11"
ECHO_PORT = "7007"
FENCE_BYTES = 77
_BY_HAND = """
import socket, struct, sys
device, mac, modes, sources, targets = (word.split(",") for word in sys.argv[1:])
def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16: total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
def ip(protocol, payload, flags=0, number=7):
    head = struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(payload), number, flags, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload
def udp(port, data): return struct.pack("!HHHH", 40000, port, 8 + len(data), 0) + data
def echo():
    body = struct.pack("!BBHHH", 8, 0, 0, 7, 7) + b"x" * 24
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]
def packets(mode):
    syn = struct.pack("!HHIIBBHHH", 40001, 502, 1, 0, 0x50, 2, 1000, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, len(syn))
    syn = syn[:16] + struct.pack("!H", checksum(pseudo + syn)) + syn[18:]
    data = udp(7007, b"y" * 40)
    return {
        "tcp": [ip(6, syn)], "udp": [ip(17, data)], "echo": [ip(1, echo())], "gre": [ip(47, b"\\0" * 16)],
        "fragments": [ip(17, data[:24], 0x2000, 9), ip(17, data[24:], 3, 9)],
        "later-fragment": [ip(17, data[24:], 3, 11)],
        "overlap": [ip(6, syn[:8], 0x2000, 13), ip(6, syn[8:], 1, 13), ip(6, syn[:8], 0x2000, 13)],
    }[mode]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((device[0], 0))
head = bytes.fromhex(mac[0].replace(":", "")) + raw.getsockname()[4] + b"\\x08\\x00"
for source in sources:
    for target in targets:
        for mode in modes:
            for packet in packets(mode):
                raw.send(head + packet)
"""
_DATAGRAM = """
import socket, sys
kind = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(kind, socket.SOCK_DGRAM); s.settimeout(float(sys.argv[3]))
if kind == socket.AF_INET: s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
if len(sys.argv) > 4: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[4].encode())
try:
    s.sendto(b"x", (sys.argv[1], int(sys.argv[2]))); s.recv(10); print("answered")
except TimeoutError: print("silent")
except OSError as error: print("refused")
"""


def datagram(place: Place, address: str, port: int | str, timeout_s: float = 0.3, device: str = "") -> str:
    """Send one and say what came of it."""
    words = [address, str(port), str(timeout_s), *([device] if device else [])]
    return place.run([sys.executable, "-I", "-S", "-c", _DATAGRAM, *words]).stdout.strip()


def tunnel_of(place: Place) -> tuple[str, str]:
    """The addresses of a PC's tunnel: its own and the SM's."""
    (link,) = json.loads(place.run(["ip", "-j", "-4", "address", "show", "dev", "gl0"]).stdout)
    own = next(found for found in link["addr_info"] if found.get("local"))
    pc = str(own["local"])
    first, last = pc.rsplit(".", 1)
    return pc, f"{first}.{int(last) - 1}" if int(last) % 4 == 2 else f"{first}.{int(last) + 1}"


@dataclass
class Scene:
    """Two users with a session each, and somebody who hears what should not come."""

    system: System
    other: LinkManager
    listeners: list[Process]
    """Packets that the SM sent: into the plant, out of its uplink, and into the other PC's tunnel."""
    servers: list[Process]
    """Programs that would answer."""
    pc_address: str
    gateway: str
    other_address: str
    other_gateway: str
    poller: Poller

    @property
    def pc(self) -> Place:
        """The hostile one."""
        return self.system.lab.pc

    def heard(self) -> list[str]:
        """What came that was not granted, since the last call.

        Everything sent before has arrived or never will: a granted ping behind it was answered.
        """
        seen = self._seen
        assert ping(self.pc, PLC_ADDRESS, size_bytes=FENCE_BYTES, timeout_s=5).received == 1
        news = [
            line
            for process, begin in zip((*self.listeners, *self.servers), seen, strict=True)
            for line in process.lines[begin:]
        ]
        self.mark()
        return [line for line in news if not self._is_granted(line)]

    def mark(self) -> None:
        """From now on."""
        self._seen = [len(process.lines) for process in (*self.listeners, *self.servers)]

    def _is_granted(self, line: str) -> bool:
        plant = "port-site tcp 192.168.50.1 > 192.168.50.10 502", "port-site icmp 192.168.50.1 > 192.168.50.10 8"
        gm = "lan0 tcp 10.20.1.2 > 203.0.113.10 "
        looked_for = "port-site arp 192.168.50.1 > 192.168.50.10 ", "lan0 arp 10.20.1.2 > 10.20.1.1 "
        own = f"gl0 tcp {PLC_ADDRESS} > {self.other_address} ", f"gl0 icmp {PLC_ADDRESS} > {self.other_address} 0"
        return line in plant or line.startswith((gm, *own, *looked_for)) or " icmp6 fe80:" in line


def echo(place: Place) -> Process:
    """A program that answers on the ports that are tried."""
    modbus = () if place.name == "plant" else ("--tcp", "502")  # there it is the PLC's
    program = place.start_module("lab.echo", "--tcp", ECHO_PORT, "--udp", ECHO_PORT, "--udp", "502", *modbus)
    program.wait_for_line("echo listens")
    return program


def listen(place: Place, *interfaces: str) -> Process:
    """Somebody who hears every packet."""
    program = place.start_module("netns.link_listener", *interfaces)
    program.wait_for_line("listening")
    return program


@pytest.fixture
def scene(two_users: Scene) -> Scene:
    """What others heard before does not count."""
    two_users.mark()
    return two_users


@pytest.fixture(scope="module")
def two_users(module_lab: Lab) -> Iterator[Scene]:
    system = quick_system(module_lab)
    lab = module_lab
    neighbour, pc2 = lab.add_host(), lab.add_pc()
    other = LinkManager(lab, pc2)
    configure_lm(other)
    system.gm.run("users", "add", "bert", "--domain", "acme")
    system.gm.run("grants", "add", "bert", "--device", DEVICE)
    other.start_service()
    other.redeem(system.gm.invite("bert"))
    other.login()
    system.lm.run("connect", APPLIANCE)
    other.run("connect", APPLIANCE)
    servers = [echo(place) for place in (lab.plant, neighbour, lab.site, lab.factory, lab.internet, pc2)]
    (pc_address, gateway), (other_address, other_gateway) = tunnel_of(lab.pc), tunnel_of(pc2)
    for network in ("192.168.50.0/24", "10.20.1.0/24", "192.168.99.0/24", other_address, other_gateway, "8.8.8.8"):
        lab.pc.run(["ip", "route", "replace", network, "via", gateway, "dev", "gl0"])
    listeners = [listen(lab.plant, "port-site"), listen(lab.factory, "lan0"), listen(pc2, "gl0")]
    found = Scene(
        system,
        other,
        listeners,
        servers,
        pc_address,
        gateway,
        other_address,
        other_gateway,
        Poller(lab.pc, patience_s=20),
    )
    yield found
    # Whatever was tried, the session that was there goes on.
    found.poller.wait_for_answer()


def test_programs_answer_when_somebody_beside_them_asks(scene: Scene) -> None:
    """The control of everything below: what is denied is there."""
    lab = scene.system.lab
    site, plant, neighbour, factory = lab.site, lab.plant, lab["plant-b"], lab.factory
    asked = [
        (site, NEIGHBOUR),
        (site, PLC_ADDRESS),
        (plant, "192.168.50.1"),
        (factory, "10.20.1.2"),
        (site, scene.gateway),
        (site, scene.other_gateway),
        (site, "10.20.1.1"),
        (neighbour, "fd00:50:1::1"),
        (site, "fd00:50:1::11"),
        (lab.office, "10.10.1.3"),
        (lab["pc2"], scene.other_address),
    ]
    for place, address in asked:
        assert knock(place, address, int(ECHO_PORT), 3) == "open", (place, address)
        assert datagram(place, address, ECHO_PORT, 3) == "answered", (place, address)
        assert ping(place, address, timeout_s=3).received == 1, (place, address)
    assert knock(scene.pc, PLC_ADDRESS, 502, 3) == "open"


@pytest.mark.parametrize(
    "name",
    [
        "neighbour",
        "nobody",
        "sm_plant",
        "sm_uplink",
        "sm_tunnel",
        "site_firewall",
        "internet",
        "other_pc",
        "other_gateway",
        "plant_broadcast",
        "other_network",
    ],
)
def test_nothing_arrives_when_another_address_is_tried(scene: Scene, name: str) -> None:
    address = {
        "neighbour": NEIGHBOUR,
        "nobody": "192.168.50.99",
        "sm_plant": "192.168.50.1",
        "sm_uplink": "10.20.1.2",
        "sm_tunnel": scene.gateway,
        "site_firewall": "10.20.1.1",
        "internet": "8.8.8.8",
        "other_pc": scene.other_address,
        "other_gateway": scene.other_gateway,
        "plant_broadcast": "192.168.50.255",
        "other_network": "192.168.99.1",
    }[name]
    for port in (502, int(ECHO_PORT)):
        assert knock(scene.pc, address, port, 0.3) != "open"
        assert datagram(scene.pc, address, port) != "answered"
    assert ping(scene.pc, address, timeout_s=0.3).received == 0
    assert scene.heard() == []


def test_nothing_arrives_when_another_service_of_the_plc_is_tried(scene: Scene) -> None:
    assert knock(scene.pc, PLC_ADDRESS, int(ECHO_PORT), 0.3) != "open"
    assert datagram(scene.pc, PLC_ADDRESS, ECHO_PORT) != "answered"
    assert datagram(scene.pc, PLC_ADDRESS, 502) != "answered"
    assert scene.heard() == []


def test_nothing_arrives_when_ping_is_not_granted(scene: Scene) -> None:
    gm = scene.system.gm
    assert ping(scene.pc, PLC_ADDRESS, timeout_s=3).received == 1
    gm.run("services", "remove", DEVICE, "ping")
    wait_until(lambda: ping(scene.pc, PLC_ADDRESS, timeout_s=0.1).received == 0, 5, "ping to be refused")
    before = len(scene.listeners[0].lines)
    assert ping(scene.pc, PLC_ADDRESS, timeout_s=0.3).received == 0
    assert knock(scene.pc, PLC_ADDRESS, 502) == "open"
    assert not [line for line in scene.listeners[0].lines[before:] if " icmp " in line]
    gm.run("services", "add", DEVICE, "ping")
    wait_until(lambda: ping(scene.pc, PLC_ADDRESS, timeout_s=0.1).received == 1, 5, "ping to be answered again")


def send_by_hand(scene: Scene, modes: str, source: str, *targets: str) -> None:
    words = ["gl0", tunnel_mac(scene.gateway), modes, source, ",".join(targets)]
    scene.pc.run([sys.executable, "-I", "-S", "-c", _BY_HAND, *words])


@pytest.mark.parametrize("source", ["own", "lan", "other", "gateway", "plc", "sm", "loopback"])
def test_nothing_arrives_when_packets_are_made_by_hand(scene: Scene, source: str) -> None:
    """From own and from spoofed addresses, whole and in pieces; from spoofed ones even what would be granted."""
    sources = {
        "own": scene.pc_address,
        "lan": "10.10.1.2",
        "other": scene.other_address,
        "gateway": scene.gateway,
        "plc": PLC_ADDRESS,
        "sm": "192.168.50.1",
        "loopback": "127.0.0.1",
    }
    targets = [NEIGHBOUR, "192.168.50.1", scene.other_address, "224.0.0.251", "255.255.255.255"]
    if source != "own":
        targets.append(PLC_ADDRESS)
    send_by_hand(scene, "tcp,udp,echo,gre,fragments,later-fragment,overlap", sources[source], *targets)
    assert scene.heard() == []


def test_packets_made_by_hand_arrive_when_they_are_granted(scene: Scene) -> None:
    """The control of the one above."""
    seen = len(scene.listeners[0].lines)
    send_by_hand(scene, "echo", scene.pc_address, PLC_ADDRESS)
    scene.listeners[0].wait_for_line(r"icmp 192.168.50.1 > 192.168.50.10 8", 5, after=seen)


@pytest.mark.parametrize("address", ["255.255.255.255", "192.168.50.255", "224.0.0.1", "239.255.255.250"])
def test_nothing_arrives_when_it_is_for_everybody(scene: Scene, address: str) -> None:
    for port in (502, ECHO_PORT):
        assert datagram(scene.pc, address, port, device="gl0") != "answered"
    assert scene.heard() == []


def test_nothing_arrives_when_it_is_ipv6(scene: Scene) -> None:
    pc, mac = scene.pc, tunnel_mac(scene.gateway)
    pc.run(["sysctl", "-q", "-w", "net.ipv6.conf.gl0.disable_ipv6=0"])
    pc.run(["ip", "-6", "address", "replace", "fd00:99::2/64", "dev", "gl0", "nodad"])
    pc.run(["ip", "-6", "address", "replace", "fe80::2/64", "dev", "gl0", "nodad"])
    pc.run(["ip", "-6", "route", "replace", "fd00:50:1::/64", "dev", "gl0"])
    link_local = f"fe80::{mac[:2]}67:6cff:fe{mac[9:11]}:{mac[12:14]}{mac[15:]}%gl0"
    for address in ("fd00:50:1::10", "fd00:50:1::11", "fd00:50:1::1", "fe80::1%gl0", link_local, "ff02::1%gl0"):
        if not address.startswith("ff"):
            plain = address.split("%")[0]
            pc.run(["ip", "-6", "neigh", "replace", plain, "lladdr", mac, "dev", "gl0", "nud", "permanent"])
        for port in (502, int(ECHO_PORT)):
            assert knock(pc, address, port, 0.3) != "open"
        if not address.startswith("ff"):  # a group's ping is answered by the PC itself
            assert ping(pc, address, timeout_s=0.3).received == 0
    assert scene.heard() == []


def test_nothing_of_the_plant_goes_up_or_to_the_pcs_when_a_device_sends_it(scene: Scene) -> None:
    """A device that was taken over, with the SM as its gateway, and a PC that would answer."""
    lab = scene.system.lab
    own = echo(lab.pc)
    pc_listener = listen(lab.pc, "gl0")
    lab.factory.run(["ip", "route", "replace", "192.168.50.0/24", "via", "10.20.1.2"])
    for place in (lab["plant-b"], lab.plant):
        place.run(["ip", "route", "replace", "default", "via", "192.168.50.1"])
    uplink = listen(lab.factory, "lan0")
    seen = len(own.lines), len(pc_listener.lines), len(uplink.lines)
    try:
        assert knock(lab.pc, scene.pc_address, int(ECHO_PORT), 3) == "open"
        assert knock(lab.site, "10.20.1.1", int(ECHO_PORT), 3) == "open"
        own_seen = len(own.lines)
        for place in (lab["plant-b"], lab.plant):
            for address in (scene.pc_address, scene.other_address, "10.10.1.2", "10.20.1.1", "203.0.113.10", "8.8.8.8"):
                assert knock(place, address, int(ECHO_PORT), 0.3) != "open"
                assert datagram(place, address, ECHO_PORT) != "answered"
                assert ping(place, address, timeout_s=0.3).received == 0
        scene.poller.wait_for_answer()
        assert own.lines[own_seen:] == []
        answers = f"gl0 tcp {PLC_ADDRESS} > {scene.pc_address} "
        assert [line for line in pc_listener.lines[seen[1] :] if not line.startswith(answers)] == []
        assert [line for line in uplink.lines[seen[2] :] if " 192.168.50." in line or " fd00:" in line] == []
    finally:
        for place in (lab["plant-b"], lab.plant):
            place.run(["ip", "route", "del", "default"])
        lab.factory.run(["ip", "route", "del", "192.168.50.0/24"])
        for process in (own, pc_listener, uplink):
            process.kill9()


def test_other_user_keeps_his_session_when_all_this_was_tried(scene: Scene) -> None:
    assert knock(scene.other.place, PLC_ADDRESS, 502, 5) == "open"
    assert OFFICE_LAN_ADDRESS in scene.pc.run(["ip", "route", "show", "default"]).stdout

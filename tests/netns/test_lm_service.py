"""The service with rights in a real PC's namespace: what it sets, what it refuses, and that nothing is ever left."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import Lab, Place, Process, wait_until
from lab.rights import has_every_user

pytestmark = pytest.mark.netns

LM = str(Path(sys.executable).with_name("lm"))
CALLER = Path(__file__).with_name("lm_caller.py").read_text(encoding="utf-8")
USER = 65534 if has_every_user() else None
"""nobody, where the lab may have another user than root."""
HOSTS = "127.0.0.1\tlocalhost\n"
GOOD: dict[str, Any] = {
    "type": "open-tunnel",
    "label": "press-1",
    "pc": "198.18.0.2",
    "gateway": "198.18.0.1",
    "prefix_length": 30,
    "mtu_bytes": 1500,
    "devices": ["192.168.50.10", "192.168.50.11"],
    "keep_clear": ["203.0.113.10"],
}


def _payload(word: Any) -> str:
    if word is None:
        return "-"
    return word if isinstance(word, str) else msgspec.msgpack.encode(word).hex()


def _answer(caller: Process, number: int = 1) -> dict[str, Any]:
    """The numberth answer that a caller got, and how many descriptors came with it."""
    match = caller.wait_for_line(r"^answer (\S*) (\d+)", after=number - 1)
    answer: dict[str, Any] = msgspec.msgpack.decode(bytes.fromhex(match[1]))
    return {**answer, "descriptors": int(match[2])}


class Pc:
    """The lab's PC with a service running on it."""

    def __init__(self, place: Place, directory: Path) -> None:
        self.place = place
        self.path = directory / "service.sock"
        self.hosts = directory / "hosts"
        self.hosts.write_text(HOSTS)
        self.before = self.routes()
        self.service = self.start_service()

    def start_service(self, *arguments: str) -> Process:
        """Start the service and wait until it listens."""
        argv = [LM, "service", "--socket", str(self.path), "--names", "hosts", "--hosts-file", str(self.hosts)]
        argv += arguments or ("--allow-uid", str(USER or 0))
        service = self.place.start(argv, name="lm-service")
        service.wait_for_line("listening on")
        return service

    def routes(self) -> list[dict[str, Any]]:
        """Every IPv4 route that is not the kernel's own of an address."""
        return [dict(route) for route in self.json("-4", "route", "show")]

    def json(self, *words: str) -> list[dict[str, Any]]:
        """What ``ip -json`` says."""
        found: list[dict[str, Any]] = json.loads(self.place.run(["ip", "-json", *words]).stdout or "[]")
        return found

    def interfaces(self) -> set[str]:
        """The names of our adapters."""
        return {name for link in self.json("link", "show") if (name := link["ifname"]).startswith("gl")}

    def call(self, *words: Any, user: int | None = USER, options: tuple[str, ...] = ()) -> Process:
        """Start a caller that asks this."""
        requests = [_payload(word) for word in words]
        argv = ["/usr/bin/python3", "-c", CALLER, *options, str(self.path), *requests]
        return self.place.start(argv, name="caller", user=user)

    def ask(self, *words: Any, user: int | None = USER) -> dict[str, Any]:
        """The answer to the last of these, from a caller that holds on."""
        caller = self.call(*words, user=user)
        return _answer(caller, len(words))

    def wait_clean(self) -> None:
        """Wait until nothing of ours is left, then compare everything with how it was."""
        wait_until(lambda: not self.interfaces(), 5, "the adapters to go")
        assert self.routes() == self.before


@pytest.fixture
def pc(module_lab: Lab) -> Iterator[Pc]:
    found = Pc(module_lab.pc, module_lab.run_directory)
    try:
        yield found
    finally:
        for process in found.place.processes:
            process.kill9()
        wait_until(lambda: not found.interfaces(), 5, "the adapters to go")


def test_exactly_the_host_routes_are_set_when_a_tunnel_is_opened(pc: Pc) -> None:
    # As on a PC that forwards for its containers: new adapters would forward, too.
    pc.place.run(["sysctl", "-q", "-w", "net.ipv4.conf.default.forwarding=1"])
    caller = pc.call(GOOD)
    answer = _answer(caller)
    pc.place.run(["sysctl", "-q", "-w", "net.ipv4.conf.default.forwarding=0"])
    assert answer == {"type": "tunnel-opened", "interface": "gl0", "adapter": 0, "warnings": [], "descriptors": 1}
    added = [route for route in pc.routes() if route not in pc.before]
    peer = {"dst": "198.18.0.1", "dev": "gl0", "protocol": "kernel", "scope": "link", "prefsrc": "198.18.0.2"}
    devices = [{"dst": dst, "gateway": "198.18.0.1", "dev": "gl0"} for dst in ("192.168.50.10", "192.168.50.11")]
    assert [{**route, "flags": []} for route in added] == [{**route, "flags": []} for route in (*devices, peer)]
    assert [route for route in pc.routes() if route["dev"] != "gl0"] == pc.before
    link = pc.json("link", "show", "dev", "gl0")[0]
    assert link["address"] == "02:67:6c:12:00:02"
    assert link["ifalias"].endswith(":press-1")
    neighbour = pc.json("neighbour", "show", "dev", "gl0")[0]
    assert (neighbour["lladdr"], neighbour["state"]) == ("02:67:6c:12:00:01", ["PERMANENT"])
    assert not [address for address in pc.json("-6", "address", "show", "dev", "gl0") if address]
    settings = {"ipv4.conf.gl0.forwarding": "0", "ipv4.conf.gl0.rp_filter": "1", "ipv6.conf.gl0.disable_ipv6": "1"}
    for name, value in settings.items():
        assert pc.place.run(["sysctl", "-n", f"net.{name}"]).stdout.strip() == value
    caller.kill9()
    pc.wait_clean()


def test_routes_are_replaced_when_they_are_changed(pc: Pc) -> None:
    change = {"type": "change-routes", "devices": ["192.168.50.11", "192.168.50.12"], "keep_clear": []}
    assert pc.ask(GOOD, change)["type"] == "routes-changed"
    devices = {route["dst"] for route in pc.routes() if route["dev"] == "gl0" and "gateway" in route}
    assert devices == {"192.168.50.11", "192.168.50.12"}


def test_nothing_is_left_when_the_tunnel_is_closed(pc: Pc) -> None:
    assert pc.ask(GOOD, {"type": "close-tunnel"})["type"] == "tunnel-closed"
    assert not pc.interfaces()
    assert pc.routes() == pc.before


def test_nothing_is_left_when_the_caller_made_its_adapter_persistent(pc: Pc) -> None:
    caller = pc.call(GOOD, options=("--persist", "--deaf"))
    caller.wait_for_line("holding on")
    caller.kill9()
    pc.wait_clean()


@pytest.mark.parametrize("end", ["terminate", "kill9"])
def test_nothing_is_left_when_the_service_ends(pc: Pc, end: str) -> None:
    caller = pc.call(GOOD)
    caller.wait_for_line("holding on")
    getattr(pc.service, end)()
    caller.wait()
    pc.wait_clean()


def test_nothing_is_left_when_service_and_caller_are_killed(pc: Pc) -> None:
    caller = pc.call(GOOD, options=("--deaf",))
    caller.wait_for_line("holding on")
    pc.service.kill9()
    assert pc.interfaces() == {"gl0"}
    caller.kill9()
    pc.wait_clean()


def test_leftovers_are_removed_when_the_service_starts_again(pc: Pc) -> None:
    caller = pc.call(GOOD, options=("--deaf",))
    caller.wait_for_line("holding on")
    pc.service.kill9()
    assert pc.interfaces() == {"gl0"}
    service = pc.start_service()
    assert "removed gl0, left by an earlier run" in service.log
    pc.wait_clean()


def test_adapters_of_others_stay_when_the_service_starts(pc: Pc) -> None:
    pc.place.run(["ip", "tuntap", "add", "gl0", "mode", "tap"])
    try:
        pc.service.terminate()
        pc.start_service()
        assert pc.ask(GOOD)["interface"] == "gl1"
        assert "gl0" in pc.interfaces()
    finally:
        pc.place.run(["ip", "link", "delete", "gl0"])


@pytest.mark.skipif(USER is None, reason="needs the real root: a user namespace has no other users")
def test_user_is_refused_when_not_authorised(pc: Pc) -> None:
    answer = pc.ask(None, user=65533)
    assert answer["type"] == "service-refusal"
    assert "user 65533 may not have tunnels" in answer["text"]
    assert not pc.interfaces()


def test_root_is_served_when_users_are_named(pc: Pc) -> None:
    assert pc.ask(GOOD, user=None)["interface"] == "gl0"


def test_second_service_is_refused_when_the_socket_is_taken(pc: Pc) -> None:
    done = pc.place.run([LM, "service", "--socket", str(pc.path)], check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("lm: another lm service has")
    assert pc.ask(GOOD)["interface"] == "gl0"


def test_second_tunnel_is_refused_when_it_leads_to_the_same_device(pc: Pc) -> None:
    first = pc.call(GOOD)
    first.wait_for_line("holding on")
    other = {**GOOD, "pc": "198.18.0.6", "gateway": "198.18.0.5"}
    assert "192.168.50.10 has a route of its own already through gl0" in pc.ask(other)["text"]
    assert pc.ask({**other, "devices": ["192.168.50.20"]})["interface"] == "gl1"
    first.kill9()
    wait_until(lambda: "gl0" not in pc.interfaces(), 5, "gl0 to go")
    assert "gl1" in pc.interfaces()


def test_caller_is_warned_when_a_device_lies_in_an_attached_network(pc: Pc) -> None:
    answer = pc.ask({**GOOD, "devices": ["10.10.1.77"]})
    assert answer["interface"] == "gl0"
    assert "10.10.1.77 lies in 10.10.1.0/24, which is attached to this PC (eth0)" in answer["warnings"][0]


def test_smaller_route_wins_when_a_larger_network_is_routed_elsewhere(pc: Pc) -> None:
    pc.place.run(["ip", "route", "add", "192.168.0.0/16", "via", "10.10.1.1"])
    try:
        answer = pc.ask(GOOD)
        assert answer["warnings"] == []
        assert pc.json("route", "get", "192.168.50.10")[0]["dev"] == "gl0"
    finally:
        pc.place.run(["ip", "route", "delete", "192.168.0.0/16"])


def _with(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


HOSTILE = {
    "own address": (_with(devices=["10.10.1.2"]), "this PC's own address"),
    "loopback": (_with(devices=["127.0.0.1"]), "no unicast address"),
    "default gateway": (_with(devices=["10.10.1.1"]), "a gateway of this PC"),
    "GateManager": (_with(devices=["203.0.113.10"]), "on the way to the GateManager"),
    "broadcast": (_with(devices=["10.10.1.255"]), "has a route of its own already"),
    "limited broadcast": (_with(devices=["255.255.255.255"]), "no unicast address"),
    "multicast": (_with(devices=["224.0.0.251"]), "no unicast address"),
    "this network": (_with(devices=["0.0.0.0"]), "no unicast address"),
    "reserved": (_with(devices=["240.0.0.1"]), "no unicast address"),
    "network": (_with(devices=["10.0.0.0/8"]), "expected an IPv4 address"),
    "default route": (_with(devices=["0.0.0.0/0"]), "expected an IPv4 address"),
    "IPv6": (_with(devices=["2001:db8::1"]), "expected an IPv4 address"),
    "name": (_with(devices=["example.com"]), "expected an IPv4 address"),
    "twice": (_with(devices=["192.168.50.10", "192.168.50.10"]), "twice"),
    "tunnel end as device": (_with(devices=["198.18.0.1"]), "twice"),
    "too many": (_with(devices=[f"172.16.{n // 250}.{n % 250 + 1}" for n in range(513)]), "<= 512"),
    "prefix too long": (_with(prefix_length=31), "<= 30"),
    "prefix too short": (_with(prefix_length=8), ">= 24"),
    "ends apart": (_with(gateway="198.18.0.5"), "not two hosts of one /30"),
    "network address as end": (_with(pc="198.18.0.3"), "not two hosts of one /30"),
    "end is own address": (_with(pc="10.10.1.2", gateway="10.10.1.3", prefix_length=24), "in use on this PC already"),
    "end is gateway": (_with(pc="10.10.1.3", gateway="10.10.1.1", prefix_length=24), "a gateway of this PC"),
    "mtu": (_with(mtu_bytes=100), ">= 576"),
    "label with a line": (_with(label="a\nlink delete eth0"), "matching regex"),
    "label with a quote": (_with(label="a' b"), "matching regex"),
    "unknown field": (_with(interface="eth0"), "unknown field"),
    "unknown request": ({"type": "run", "command": "id"}, "not a request"),
    "no request": ("ffff", "not a request"),
    "change without a tunnel": ({"type": "change-routes", "devices": []}, "no tunnel"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_request_is_refused_when_it_is_hostile(pc: Pc, name: str) -> None:
    request, text = HOSTILE[name]
    answer = pc.ask(request)
    assert answer["type"] == "service-refusal"
    assert text in answer["text"]
    assert not pc.interfaces()
    assert pc.routes() == pc.before


def test_whole_tunnel_goes_when_a_change_is_hostile(pc: Pc) -> None:
    answer = pc.ask(GOOD, {"type": "change-routes", "devices": ["10.10.1.1"]})
    assert "a gateway of this PC" in answer["text"]
    pc.wait_clean()


def test_second_tunnel_on_one_connection_is_refused_when_asked_for(pc: Pc) -> None:
    assert "has its tunnel already" in pc.ask(GOOD, {**GOOD, "devices": []})["text"]
    pc.wait_clean()


def test_host_route_of_somebody_else_stays_when_asked_for(pc: Pc) -> None:
    pc.place.run(["ip", "route", "add", "192.168.50.10/32", "via", "10.10.1.1"])
    try:
        assert "through eth0" in pc.ask(GOOD)["text"]
        assert pc.json("route", "get", "192.168.50.10")[0]["dev"] == "eth0"
    finally:
        pc.place.run(["ip", "route", "delete", "192.168.50.10/32"])


def test_others_are_served_when_one_sends_an_oversized_frame(pc: Pc) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(pc.path))
        connection.settimeout(5)
        connection.sendall((1 << 20).to_bytes(4, "big"))
        assert b"announces" in connection.recv(4096)
    assert pc.ask(GOOD)["interface"] == "gl0"


def test_user_is_refused_when_he_has_too_many_tunnels(pc: Pc) -> None:
    held = []
    try:
        # From here the user is root, who is bounded as well.
        for _ in range(33):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(pc.path))
            held.append(connection)
        held[-1].settimeout(5)
        assert b"too many tunnels" in held[-1].recv(4096)
        assert pc.ask(GOOD)["interface"] == "gl0"
    finally:
        for connection in held:
            connection.close()


def test_service_says_what_to_do_when_it_cannot_listen(module_lab: Lab) -> None:
    done = module_lab.pc.run([LM, "service", "--socket", "/proc/gatelink-lm/service.sock"], check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("lm: cannot listen on /proc/gatelink-lm/service.sock: ")
    assert done.stderr.endswith("run as root, or use --socket\n")
    assert len(done.stderr.splitlines()) == 1


def test_devices_are_neighbours_when_a_tunnel_is_bridged(pc: Pc) -> None:
    caller = pc.call({**GOOD, "bridged": True, "plant_address": "192.168.50.200"})
    assert _answer(caller)["type"] == "tunnel-opened"
    added = [route for route in pc.routes() if route not in pc.before]
    link = {"dev": "gl0", "scope": "link", "prefsrc": "192.168.50.200", "flags": []}
    expected = [{"dst": dst, **link} for dst in ("192.168.50.10", "192.168.50.11")]
    assert [{**route, "flags": []} for route in added] == expected
    assert pc.json("link", "show", "dev", "gl0")[0]["address"] == "02:67:6c:12:00:02"
    caller.kill9()
    pc.wait_clean()
    layer_2 = pc.call({**GOOD, "bridged": True, "devices": []})
    assert _answer(layer_2)["type"] == "tunnel-opened"
    assert pc.routes() == pc.before
    assert pc.interfaces() == {"gl0"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"bridged": True}, "reached from an address in the plant"),
        ({"plant_address": "192.168.50.200"}, "belongs to a bridged tunnel"),
        ({"bridged": True, "plant_address": "10.10.1.2"}, "is this PC's own address"),
        ({"names": [{"name": "plc.gatelink", "address": "10.0.0.1"}]}, "is none of the devices"),
        ({"names": [{"name": "www.example.com", "address": "192.168.50.10"}]}, "not a request of this service"),
    ],
    ids=["no address", "routed with address", "own address", "foreign address", "foreign name"],
)
def test_odd_bridges_and_names_are_refused(pc: Pc, change: dict[str, Any], why: str) -> None:
    answer = pc.ask({**GOOD, **change})
    assert (answer["type"], answer["descriptors"]) == ("service-refusal", 0)
    assert why in answer["text"]
    pc.wait_clean()
    assert pc.hosts.read_text() == HOSTS


def test_names_are_in_the_hosts_file_while_the_tunnel_lasts(pc: Pc) -> None:
    caller = pc.call({**GOOD, "names": [{"name": "plc.press.gatelink", "address": "192.168.50.10"}]})
    assert _answer(caller)["type"] == "tunnel-opened"
    assert "192.168.50.10\tplc.press.gatelink\n" in pc.hosts.read_text()
    caller.kill9()
    pc.wait_clean()
    wait_until(lambda: pc.hosts.read_text() == HOSTS, 5, "the names to go")

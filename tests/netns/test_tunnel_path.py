"""The data path over real TAP adapters and a real relay in network namespaces."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench import certificates, gatelink_path
from bench.gatelink_path import PC_ADDRESS, SITE_ADDRESS, TAP, GatelinkPath
from gatelink.tunnel.offload import ALL
from gatelink.tunnel.tap import Tap
from lab import Lab, Process, wait_until
from lab.probes import ping

pytestmark = [pytest.mark.netns, pytest.mark.slow]

_DEADLINE_S = 20.0


@pytest.fixture
def path(lab: Lab) -> GatelinkPath:
    """A tunnel from the PC to the site, up."""
    return gatelink_path.bring_up(lab, certificates.make(lab.run_directory))


def _end(lab: Lab, side: str) -> Process:
    place = lab.site if side == "server" else lab.pc
    return next(process for process in place.processes if process.name.startswith(f"gatelink-{side}"))


def _python(lab: Lab, code: str, *arguments: str) -> str:
    """Run a line of Python at the PC and return what it printed."""
    return lab.pc.run([sys.executable, "-c", code, *arguments]).stdout.strip()


@pytest.mark.parametrize("size_bytes", [56, 1472, 9000])
def test_pings_come_back_when_the_tunnel_is_up(lab: Lab, path: GatelinkPath, size_bytes: int) -> None:
    assert ping(lab.pc, path.site_address, 3, size_bytes=size_bytes, timeout_s=5).received == 3
    assert ping(lab.site, PC_ADDRESS, 3, size_bytes=size_bytes, timeout_s=5).received == 3


@pytest.mark.parametrize("reverse", [False, True], ids=["to-site", "to-pc"])
def test_tcp_is_carried_in_uncut_segments_when_both_ends_offload(lab: Lab, path: GatelinkPath, reverse: bool) -> None:
    lab.site.start(["iperf3", "--forceflush", "-s", "-1"]).wait_for_line("Server listening")
    argv = ["iperf3", "-J", "-n", "64M", "-c", path.site_address, *(["-R"] if reverse else [])]
    report = json.loads(lab.pc.run(argv, timeout_s=60).stdout)
    # iperf3 ends when 64 MiB are sent; what was on its way then is not counted.
    assert report["end"]["sum_received"]["bytes"] >= 48_000_000
    statistics = json.loads(lab.pc.run(["ip", "-j", "-s", "link", "show", TAP]).stdout)[0]["stats64"]
    way = statistics["rx" if reverse else "tx"]
    assert way["bytes"] / way["packets"] > 5000


def test_ping_stays_short_when_a_slow_line_is_full(lab: Lab, path: GatelinkPath) -> None:
    lab.line("factory-site").change(rate_mbit=10, queue_ms=100)
    lab.site.start(["iperf3", "--forceflush", "-s", "-1"]).wait_for_line("Server listening")
    load = lab.pc.start(["iperf3", "--forceflush", "-t", "8", "-C", "cubic", "-c", path.site_address])
    load.wait_for_line(r"3\.00-4\.0")
    pings = ping(lab.pc, path.site_address, 30, interval_s=0.1, timeout_s=5)
    assert pings.received >= 29
    # A tenth of a second in the line's own queue, and far less than the seconds of a tunnel that does not care.
    assert pings.rtt_average_ms is not None
    assert pings.rtt_average_ms < 300
    load.wait(_DEADLINE_S)


def test_portable_pump_carries_the_same_when_the_pc_is_not_linux(lab: Lab) -> None:
    """The pump for Windows on a real TAP, with the pump of Linux at the site."""
    path = gatelink_path.bring_up(lab, certificates.make(lab.run_directory), portable=True)
    for size_bytes in (56, 1472, 9000):
        assert ping(lab.pc, path.site_address, 3, size_bytes=size_bytes, timeout_s=5).received == 3
    for direction in ([], ["-R"]):
        server = lab.site.start(["iperf3", "--forceflush", "-s", "-1"])
        server.wait_for_line("Server listening")
        argv = ["iperf3", "-J", "-n", "16M", "-c", path.site_address, *direction]
        report = json.loads(lab.pc.run(argv, timeout_s=60).stdout)
        assert report["end"]["sum_received"]["bytes"] >= 8_000_000  # what was under way at the end is not counted
        server.wait(60)  # the next one wants its port
    lab.pc.run(["ip", "link", "delete", TAP])
    assert "TAP_GONE" in _end(lab, "client").wait_for_line("PumpEnd", 60).string
    assert "FAR_END" in _end(lab, "server").wait_for_line("PumpEnd", _DEADLINE_S).string


def test_far_end_hears_of_it_when_one_end_is_stopped(lab: Lab, path: GatelinkPath) -> None:
    assert ping(lab.pc, path.site_address, timeout_s=5).received
    _end(lab, "server").terminate(_DEADLINE_S)
    assert "FAR_END" in _end(lab, "client").wait_for_line("PumpEnd", _DEADLINE_S).string


@pytest.mark.parametrize("killed", ["server", "client"])
def test_other_end_and_relay_let_go_when_one_end_is_killed(lab: Lab, path: GatelinkPath, killed: str) -> None:
    assert ping(lab.pc, path.site_address, timeout_s=5).received
    _end(lab, killed).kill9()
    other = "client" if killed == "server" else "server"
    assert "LOST" in _end(lab, other).wait_for_line("PumpEnd", _DEADLINE_S).string
    relay = next(process for process in lab.internet.processes if process.name.startswith("relay"))
    relay.wait_for_line("^ended", _DEADLINE_S)
    _end(lab, other).wait(_DEADLINE_S)
    for place in (lab.pc, lab.site):
        assert TAP not in place.run(["ip", "-br", "link"]).stdout


def test_tunnel_ends_and_says_why_when_the_tap_is_deleted(lab: Lab, path: GatelinkPath) -> None:
    assert ping(lab.pc, path.site_address, timeout_s=5).received
    lab.pc.run(["ip", "link", "delete", TAP])
    assert "TAP_GONE" in _end(lab, "client").wait_for_line("PumpEnd", 60).string


def test_tunnel_goes_on_when_the_line_was_cut_for_a_moment(lab: Lab, path: GatelinkPath) -> None:
    assert ping(lab.pc, path.site_address, timeout_s=5).received
    line = lab.line("factory-site")
    line.cut()
    assert not ping(lab.pc, path.site_address, 3, interval_s=0.2, timeout_s=1).received
    line.mend()
    wait_until(lambda: ping(lab.pc, SITE_ADDRESS, timeout_s=1).received, _DEADLINE_S, "pings to come back")


_OPEN = (
    "import sys; from gatelink.tunnel.tap import open_tap\ntry: open_tap(sys.argv[1])\nexcept Exception as e: print(e)"
)


def test_message_says_what_to_do_when_the_name_is_in_use(lab: Lab, path: GatelinkPath) -> None:
    assert "in use" in _python(lab, _OPEN, TAP)


@pytest.mark.parametrize("name", ["", "a" * 16, "a/b", "a b", "gl%d"])
def test_name_is_refused_when_it_is_none(lab: Lab, name: str) -> None:
    assert "no name for an adapter" in _python(lab, _OPEN, name)


def test_name_is_refused_when_it_belongs_to_another_kind_of_interface(lab: Lab) -> None:
    said = _python(lab, _OPEN, "eth0")
    assert "eth0" in said
    assert "\n" not in said


@pytest.fixture
def tap_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


_HAND_OVER = """
import socket, sys
from gatelink.tunnel.tap import open_tap
tap = open_tap("glx", mtu_bytes=1400, mac=bytes.fromhex("02676c000001"), queue_frames=7)
channel = socket.socket(fileno=int(sys.argv[1]))
socket.send_fds(channel, [b"x"], [tap.fileno()])
channel.recv(1)
"""


def test_tap_works_without_rights_when_its_descriptor_was_handed_over(
    lab: Lab, tap_pair: tuple[socket.socket, socket.socket]
) -> None:
    """What the LinkManager does: the service with rights opens it, another process uses it."""
    ours, theirs = tap_pair
    argv = lab.pc.argv([sys.executable, "-c", _HAND_OVER, str(theirs.fileno())])
    with subprocess.Popen(argv, pass_fds=[theirs.fileno()]) as opener:
        _message, (descriptor,), _flags, _address = socket.recv_fds(ours, 1, 1)
        ours.sendall(b".")
        assert opener.wait(_DEADLINE_S) == 0
    tap = Tap(descriptor)
    try:
        link = json.loads(lab.pc.run(["ip", "-j", "link", "show", tap.name]).stdout)[0]
        assert (link["ifname"], link["mtu"], link["address"], link["txqlen"]) == ("glx", 1400, "02:67:6c:00:00:01", 7)
        assert tap.offload == ALL
        assert not os.get_blocking(tap.fileno())
    finally:
        tap.close()
    assert "glx" not in lab.pc.run(["ip", "-br", "link"]).stdout

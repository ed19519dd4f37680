"""What strangers send to the front door of the running GateManager, and that others are served all the while."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelink.identity import serial_text
from lab import Lab, Place, wait_until
from lab.products import APPLIANCE, GM_ADDRESS, System
from netns.link_ground import Poller, now, quick_system, wait_until_resumed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
BACK_S = 20.0
"""For the SM to be back, its start on a loaded machine included."""
GAP_S = 10.0
"""The longest that a poll over a running session may take."""
RESIDENT_MIB = 300
DESCRIPTORS = 5000
LOG_LINES = 120
CROWDS = {
    "silent from one address": [("silent", 2000, 1)],
    "silent from many addresses": [("silent", 3000, 1000)],
    "slow": [("slow-hello", 700, 300), ("slow-http", 700, 300), ("slow-enrolment", 200, 100)],
    "rude": [
        ("endless-hello", 60, 30),
        ("garbage", 200, 100),
        ("huge-frame", 60, 30),
        ("http", 60, 30),
        ("pages", 40, 20),
    ],
}
"""What they do (see ``link_flood``), how many, from how many addresses; all of a list at the same time."""
_ASK = """
import socket, ssl, sys
address, port, tls, request = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4].encode().decode("unicode_escape")
connection = socket.create_connection((address, port), 10)
if tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls != "web": context.set_alpn_protocols([tls])
    connection = context.wrap_socket(connection, server_hostname="gm.example.com")
    print(ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)), end="")
if request:
    connection.sendall(request.encode("latin-1"))
    answer = b""
    while data := connection.recv(65536): answer += data
    sys.stdout.write(answer.decode("latin-1"))
"""


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    found = quick_system(module_lab)
    module_lab.internet.run(["ip", "route", "add", "local", "100.64.0.0/16", "dev", "lo"])
    return found


@pytest.fixture
def polled(system: System) -> Iterator[Poller]:
    """A session with somebody who polls over it."""
    system.lm.run("connect", APPLIANCE)
    poller = Poller(system.lm.place, patience_s=60)
    yield poller
    poller.stop()
    system.lm.run("disconnect", "--all")


def pid_of_gm(system: System) -> int:
    return int(system.gm.ask("status")["process_id"])


def resident_mib(pid: int) -> float:
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmRSS:"):
            return int(row.split()[1]) / 1024
    raise AssertionError("the kernel tells no VmRSS")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.parametrize("name", CROWDS)
def test_others_are_served_when_strangers_come_in_crowds(system: System, polled: Poller, name: str) -> None:
    pid = pid_of_gm(system)
    assert system.gm.process is not None
    log_before, resident_before = len(system.gm.process.lines), resident_mib(pid)
    crowds = [
        system.lab.internet.start_module("netns.link_flood", kind, "--count", str(count), "--addresses", str(addresses))
        for kind, count, addresses in CROWDS[name]
    ]
    try:
        begin = now()
        for crowd in crowds:
            crowd.wait_for_line("crowd", 60)
        for crowd in crowds:
            crowd.wait_for_line("open", 20, after=len(crowd.lines))
        polled.wait_for_answer()
        gap_s = polled.longest_gap_s(begin)
        restart = now()
        system.sm.kill9()
        system.sm.start()
        system.sm.wait_until_connected(60)
        back_s = now() - restart
        wait_until_resumed(system.lm, 60)
        resumed_s = now() - restart
        polled.wait_for_answer(60)
        resident, open_files = resident_mib(pid), descriptors(pid)
        lines = len(system.gm.process.lines) - log_before
        counts = ", ".join(crowd.lines[-1] for crowd in crowds)
        assert [crowd.name for crowd in crowds if crowd.returncode is not None] == []
    finally:
        for crowd in crowds:
            crowd.kill9()
    sys.stdout.write(
        f"{name}: longest gap {gap_s:.2f} s; SM back in {back_s:.1f} s, session in {resumed_s:.1f} s; "
        f"GM {resident_before:.0f} -> {resident:.0f} MiB, {open_files} files, {lines} log lines; crowd: {counts}\n"
    )
    assert gap_s < GAP_S
    assert back_s < BACK_S
    assert resident < RESIDENT_MIB
    assert open_files < DESCRIPTORS
    assert lines < LOG_LINES
    wait_until(lambda: system.gm.ask("status")["pending_connections"] == 0, 30, "the strangers to be gone")


def ask(place: Place, port: int, tls: str = "", request: str = "") -> str:
    """What the GM answers."""
    return place.run([sys.executable, "-I", "-S", "-c", _ASK, GM_ADDRESS, str(port), tls, request]).stdout


@pytest.mark.parametrize("port", [80, 443, 11444])
def test_plain_http_is_sent_to_https_when_any_port_is_asked(system: System, port: int) -> None:
    answer = ask(system.lm.place, port, "", rf"GET /a?b HTTP/1.1\r\nHost: {GM_ADDRESS}\r\n\r\n")
    assert answer.startswith("HTTP/1.1 308 ")
    assert f"\nLocation: https://{GM_ADDRESS}/a?b\n" in answer


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"{GM_ADDRESS}.evil.example",
        f"{GM_ADDRESS}@evil.example",
        f"evil.example#{GM_ADDRESS}",
        r"a\r\nX-Injected: 1",
        f"{GM_ADDRESS}:80@evil.example",
        "",
    ],
)
def test_redirect_leads_home_when_the_host_header_lies(system: System, host: str) -> None:
    answer = ask(system.lm.place, 80, "", rf"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
    locations = [line for line in answer.splitlines() if line.lower().startswith("location:")]
    assert locations in ([], [f"Location: https://{GM_ADDRESS}/"])
    assert "evil" not in answer
    assert "X-Injected" not in answer
    page = ask(system.lm.place, 443, "web", rf"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert "evil" not in page
    assert "X-Injected" not in page


@pytest.mark.parametrize("target", ["//evil.example/", r"/\\evil.example", "https://evil.example/", r"/a\tb", "evil"])
def test_redirect_leads_home_when_the_target_lies(system: System, target: str) -> None:
    answer = ask(system.lm.place, 80, "", rf"GET {target} HTTP/1.1\r\nHost: {GM_ADDRESS}\r\n\r\n")
    locations = [line for line in answer.splitlines() if line.lower().startswith("location:")]
    assert all(line.startswith(f"Location: https://{GM_ADDRESS}/") for line in locations)


def test_browsers_get_the_status_page_under_another_certificate(system: System) -> None:
    request = rf"GET /about HTTP/1.1\r\nHost: {GM_ADDRESS}\r\nConnection: close\r\n\r\n"
    for port in (443, 11444, 80):
        answer = ask(system.lm.place, port, "web", request)
        assert "HTTP/1.1 200 " in answer
        assert "This GateManager is running." in answer
        pinned = system.gm.ask("certificate", "show")["serial"]
        assert pinned in answer
        web = _serial(answer)
        assert web != pinned
        assert _serial(ask(system.lm.place, port, "gatelink-hello/1")) == pinned


def _serial(text: str) -> str:
    end = "-----END CERTIFICATE-----"
    return serial_text(ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)]))

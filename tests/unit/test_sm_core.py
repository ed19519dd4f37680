"""The SM's clock, admission of sessions, and what ``sm status`` shows."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from gatelink.exceptions import Refused
from gatelink.messages import DeviceAccess, Mode, Push, Service, TunnelAddresses
from sitemanager.core.admission import HostNetwork, admit_devices, admit_tunnel
from sitemanager.core.clock import GmClock
from sitemanager.core.status import SessionStatus, Status, status_text
from sitemanager.logs import MAX_CHARACTERS, printable

YEAR_S = 365 * 86400.0
MODBUS = Service("modbus", "tcp", 502, 502)
HOST = [
    HostNetwork(IPv4Network("10.20.1.0/24"), "eth0", IPv4Address("10.20.1.2")),
    HostNetwork(IPv4Network("192.168.50.0/24"), "eth1", IPv4Address("192.168.50.1")),
    HostNetwork(IPv4Network("127.0.0.0/8"), "lo", IPv4Address("127.0.0.1")),
    HostNetwork(IPv4Network("172.16.0.0/12"), "eth0"),
    HostNetwork(IPv4Network("100.70.0.0/16"), "wwan0", IPv4Address("100.70.3.4")),
    HostNetwork(IPv4Network("0.0.0.0/0"), "eth0"),
]


def test_time_is_the_systems_when_the_gatemanager_said_nothing() -> None:
    clock = GmClock()
    assert clock.now(1000.0, 5.0) == 1000.0
    assert clock.gm_now(5.0) is None
    assert clock.is_system_clock_set(1000.0, 5.0) is None


def test_time_is_the_gatemanagers_when_the_system_clock_is_years_off() -> None:
    clock = GmClock()
    clock.learn(50 * YEAR_S, 100.0)
    assert clock.now(0.0, 160.0) == 50 * YEAR_S + 60
    assert clock.is_system_clock_set(0.0, 160.0) is False


def test_time_is_the_systems_when_it_was_set() -> None:
    clock = GmClock()
    clock.learn(50 * YEAR_S, 100.0)
    assert clock.now(50 * YEAR_S + 62, 160.0) == 50 * YEAR_S + 62
    assert clock.is_system_clock_set(50 * YEAR_S + 62, 160.0) is True
    assert clock.gm_now(160.0) == 50 * YEAR_S + 60


def test_time_follows_when_the_gatemanager_says_another() -> None:
    clock = GmClock()
    clock.learn(1000.0, 0.0)
    clock.learn(5000.0, 10.0)
    assert clock.gm_now(20.0) == 5010.0


def code_of_tunnel(pc: str, gateway: str, prefix_length: int = 30) -> str | None:
    try:
        admit_tunnel(TunnelAddresses(pc=pc, gateway=gateway, prefix_length=prefix_length), HOST)
    except Refused as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("pc", "gateway", "prefix_length", "code"),
    [
        ("100.64.0.2", "100.64.0.1", 30, None),
        ("100.64.0.2", "100.64.0.1", 24, None),
        ("100.64.0.1", "100.64.0.1", 30, "bad-tunnel"),
        ("100.64.0.3", "100.64.0.1", 30, "bad-tunnel"),
        ("100.64.0.0", "100.64.0.1", 30, "bad-tunnel"),
        ("100.64.0.2", "100.64.0.3", 30, "bad-tunnel"),
        ("100.64.0.5", "100.64.0.1", 30, "bad-tunnel"),
        ("127.1.0.2", "127.1.0.1", 30, "bad-tunnel"),
        ("224.0.0.2", "224.0.0.1", 30, "bad-tunnel"),
        ("0.0.0.2", "0.0.0.1", 30, "bad-tunnel"),
        ("100.70.3.6", "100.70.3.5", 30, "tunnel-overlap"),
        ("172.20.0.2", "172.20.0.1", 30, "tunnel-overlap"),
        ("100.64.0.2", "100.64.0.1", 8, "tunnel-overlap"),
        ("pc", "100.64.0.1", 30, "bad-address"),
        ("100.64.0.2", "fd00::1", 30, "bad-address"),
    ],
)
def test_tunnel_is_judged_when_a_session_is_announced(
    pc: str, gateway: str, prefix_length: int, code: str | None
) -> None:
    assert code_of_tunnel(pc, gateway, prefix_length) == code


@pytest.mark.parametrize(
    ("ports", "address", "mode", "code"),
    [
        ((1883, 514), "192.168.50.10", "routed", None),
        ((1883, 1883), "192.168.50.10", "routed", "bad-push"),
        ((80,), "192.168.50.10", "routed", "bad-push"),
        ((1883,), "192.168.50.10", "bridged", "bad-push"),
    ],
)
def test_pushes_are_judged_when_a_session_is_announced(
    ports: tuple[int, ...], address: str, mode: Mode, code: str | None
) -> None:
    pushes = tuple(Push(f"r{number}", port, 61000 + number) for number, port in enumerate(ports))
    device = DeviceAccess("d", "logger", address, (MODBUS,), mac="00:1b:1b:00:00:01", pushes=pushes)
    found = None
    try:
        admit_devices((device,), HOST, ("eth1",), mode)
    except Refused as error:
        found = error.code
    assert found == code


def code_of_device(address: str, service: Service = MODBUS, dev: tuple[str, ...] = ("eth1",)) -> str | None:
    try:
        admit_devices((DeviceAccess("d", "press", address, (service,)),), HOST, dev)
    except Refused as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("192.168.50.10", None),
        ("169.254.7.7", None),
        ("10.99.0.1", None),
        ("192.168.50.1", "own-address"),
        ("10.20.1.2", "own-address"),
        ("192.168.50.255", "bad-device"),
        ("192.168.50.0", "bad-device"),
        ("127.0.0.9", "bad-device"),
        ("224.0.0.251", "bad-device"),
        ("255.255.255.255", "bad-device"),
        ("250.0.0.1", "bad-device"),
        ("0.0.0.0", "bad-device"),
        ("0.1.2.3", "bad-device"),
        ("192.168.50", "bad-address"),
        ("192.168.50.010", "bad-address"),
        ("::1", "bad-address"),
        ("", "bad-address"),
    ],
)
def test_device_is_judged_when_a_session_is_announced(address: str, code: str | None) -> None:
    assert code_of_device(address) == code


@pytest.mark.parametrize("ports", [(0, 0), (0, 10), (20, 10), (502, 0)])
def test_service_is_refused_when_its_ports_make_no_sense(ports: tuple[int, int]) -> None:
    assert code_of_device("192.168.50.10", Service("x", "tcp", *ports)) == "bad-service"


def test_ports_do_not_matter_when_the_service_is_ping() -> None:
    assert code_of_device("192.168.50.10", Service("ping", "icmp")) is None


def test_session_is_refused_when_the_machine_side_is_not_known() -> None:
    assert code_of_device("192.168.50.10", dev=()) == "no-machine-side"


def status(**values: object) -> Status:
    defaults: dict[str, object] = dict.fromkeys(Status.__struct_fields__, "")
    defaults |= {
        "enrolled": True,
        "connected": False,
        "since": None,
        "system_clock_set": None,
        "now": 2e9,
        "locked": None,
        "dev_interfaces": (),
        "sessions": (),
    }
    return Status(**{**defaults, **values})  # type: ignore[arg-type]


def test_status_says_what_matters_when_a_session_runs() -> None:
    running = SessionStatus(
        session_id="s1",
        user="anna",
        reason="the press stands",
        phase="open",
        interface="gls0",
        since=1.9e9,
        ends_at=2.1e9,
        bytes_sent=7,
        bytes_received=8,
        devices=("press (192.168.50.10)",),
    )
    text = status_text(
        status(
            name="press 4",
            gm_name="gm",
            connected=True,
            way="gm.example:443",
            since=1.9e9,
            sessions=(running,),
            dev_interfaces=("eth1",),
            system_clock_set=False,
            pin_serial="AB12",
        )
    )
    for words in (
        "press 4",
        "gm.example:443",
        "serial AB12",
        "anna",
        "the press stands",
        "192.168.50.10",
        "2036-07-18",
    ):
        assert words in text
    assert "GateManager's time is used" in text


def test_status_says_what_to_do_when_something_is_missing() -> None:
    text = status_text(status(locked="locked by its owner", lost_reason="no answer", since=1e300, now=float("1e300")))
    assert "LOCKED: locked by its owner" in text
    assert "not connected: no answer" in text
    assert "sm config set dev_interfaces" in text
    assert "not adopted yet" in status_text(status(enrolled=False))


def test_line_stays_one_line_when_a_name_has_control_characters() -> None:
    assert printable("anna\nsm: session s2 of root open\x1b[2J") == "anna\\nsm: session s2 of root open\\x1b[2J"
    assert printable("Zoë 工場") == "Zoë 工場"
    assert len(printable("x" * 10_000)) == MAX_CHARACTERS

"""What grants allow, tickets, tunnel addresses: the core of access, with time as an argument."""

from __future__ import annotations

import ipaddress

import msgspec
import pytest

from gatelink.exceptions import Refused
from gatelink.messages import DeviceAccess, Service
from gm_server.access.actors import Role
from gm_server.access.rights import Appliance, Grant, Rights, decide, requestable
from gm_server.access.tickets import TicketBox
from gm_server.access.tunnels import TunnelPool
from gm_server.access.weeks import Weekly, Window

MODBUS = Service("modbus", "tcp", 502, 502)
PING = Service("ping", "icmp")
PLC = DeviceAccess("dev-plc", "plc", "192.168.1.10", (MODBUS, PING))
HMI = DeviceAccess("dev-hmi", "hmi", "192.168.1.11", (Service("vnc", "tcp", 5900, 5900),))
BARE = DeviceAccess("dev-bare", "bare", "192.168.1.12", ())
PRESS = Appliance("sm-press", "acme/line3", "press1", b"certificate", (PLC, HMI, BARE))


def _reached(*grants: Grant, now: float = 100.0, device_ids: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    rights = decide(grants, PRESS, now, device_ids)
    return {device.name: tuple(service.name for service in device.services) for device in rights.devices}


ALL = {"plc": ("modbus", "ping"), "hmi": ("vnc",)}


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (Grant(domain="acme"), ALL),
        (Grant(domain="acme/line3"), ALL),
        (Grant(domain="acme/line"), {}),
        (Grant(domain="acme/line3/press1"), {}),
        (Grant(domain="other"), {}),
        (Grant(appliance_id="sm-press"), ALL),
        (Grant(appliance_id="sm-other"), {}),
        (Grant(device_id="dev-hmi"), {"hmi": ("vnc",)}),
        (Grant(device_id="dev-other"), {}),
        (Grant(domain="acme", services=frozenset({"modbus"})), {"plc": ("modbus",)}),
        (Grant(domain="acme", services=frozenset()), {}),
        (Grant(domain="acme", valid_from=100.0), ALL),
        (Grant(domain="acme", valid_from=100.1), {}),
        (Grant(domain="acme", valid_until=100.1), ALL),
        (Grant(domain="acme", valid_until=100.0), {}),
        (Grant(), {}),
    ],
)
def test_grant_opens_exactly_what_it_says(grant: Grant, expected: dict[str, tuple[str, ...]]) -> None:
    assert _reached(grant) == expected


def test_grants_add_up() -> None:
    only_modbus = Grant(appliance_id="sm-press", services=frozenset({"modbus"}))
    only_vnc = Grant(device_id="dev-hmi", services=frozenset({"vnc"}))
    assert _reached(only_modbus, only_vnc) == {"plc": ("modbus",), "hmi": ("vnc",)}


def test_only_the_devices_that_were_asked_for_count() -> None:
    assert _reached(Grant(domain="acme"), device_ids=("dev-hmi", "dev-unknown")) == {"hmi": ("vnc",)}
    assert _reached(Grant(device_id="dev-plc"), device_ids=("dev-hmi",)) == {}


def test_rights_end_with_the_last_grant_that_counts() -> None:
    grants = (Grant(domain="acme", valid_until=200.0), Grant(device_id="dev-plc", valid_until=300.0))
    rights = decide(grants, PRESS, 100.0)
    assert (rights.ends_at, rights.changes_at) == (300.0, 200.0)
    assert decide((*grants, Grant(appliance_id="sm-press")), PRESS, 100.0).ends_at is None
    assert decide(grants, PRESS, 300.0).devices == ()


def test_rights_change_when_a_coming_grant_begins() -> None:
    rights = decide((Grant(domain="acme", valid_from=150.0, valid_until=160.0),), PRESS, 100.0)
    assert (rights.devices, rights.ends_at, rights.changes_at) == ((), None, 150.0)


def test_ticket_admits_once() -> None:
    box = TicketBox(30)
    box.put(b"t" * 32, "ses-1", "user", b"c" * 32, now=0.0)
    ticket = box.take(b"t" * 32, b"c" * 32, now=29.9)
    assert (ticket.session_id, ticket.side) == ("ses-1", "user")
    with pytest.raises(Refused, match="ticket"):
        box.take(b"t" * 32, b"c" * 32, now=29.9)


@pytest.mark.parametrize(("secret", "certificate", "now"), [(b"x", b"c", 1.0), (b"t", b"x", 1.0), (b"t", b"c", 30.0)])
def test_ticket_is_refused_when_it_is_unknown_foreign_or_expired(secret: bytes, certificate: bytes, now: float) -> None:
    box = TicketBox(30)
    box.put(b"t" * 32, "ses-1", "user", b"c" * 32, now=0.0)
    with pytest.raises(Refused) as refused:
        box.take(secret * 32, certificate * 32, now)
    assert refused.value.code == "ticket"
    assert len(box) == (0 if now == 30.0 else 1)


def test_tickets_of_an_ended_session_are_gone() -> None:
    box = TicketBox()
    box.put(b"a" * 32, "ses-1", "user", b"c" * 32, now=0.0)
    box.put(b"b" * 32, "ses-1", "appliance", b"d" * 32, now=0.0)
    box.put(b"c" * 32, "ses-2", "user", b"c" * 32, now=0.0)
    box.forget("ses-1")
    assert len(box) == 1


def test_tunnel_addresses_lie_in_a_block_of_four() -> None:
    pool = TunnelPool(ipaddress.IPv4Network("198.18.0.0/15"))
    first, second = pool.allocate(), pool.allocate()
    assert (first.gateway, first.pc) == ("198.18.0.1", "198.18.0.2")
    assert (second.gateway, second.pc) == ("198.18.0.5", "198.18.0.6")


def test_tunnel_pool_says_when_it_is_empty() -> None:
    pool = TunnelPool(ipaddress.IPv4Network("10.0.0.0/29"))
    tunnels = [pool.allocate(), pool.allocate()]
    with pytest.raises(Refused) as refused:
        pool.allocate()
    assert refused.value.code == "busy"
    pool.release(tunnels[0])
    assert pool.allocate() == tunnels[0]


def test_addresses_to_avoid_are_not_given() -> None:
    pool = TunnelPool(ipaddress.IPv4Network("10.0.0.0/28"))
    assert pool.allocate(("10.0.0.2", "10.0.0.6", "192.168.0.2", "nonsense")).pc == "10.0.0.10"
    with pytest.raises(Refused, match="in use"):
        pool.allocate(("10.0.0.2", "10.0.0.6", "10.0.0.14"))
    assert pool.allocate().pc == "10.0.0.14"


@pytest.mark.parametrize("pc", ["10.0.0.1", "10.0.0.3", "10.0.0.10", "9.255.255.254", "192.168.0.2"])
def test_reserving_fails_when_the_address_is_no_pc_of_the_network(pc: str) -> None:
    assert TunnelPool(ipaddress.IPv4Network("10.0.0.0/29")).reserve(pc) is None


def test_reserved_addresses_are_not_given_twice() -> None:
    pool = TunnelPool(ipaddress.IPv4Network("10.0.0.0/29"))
    kept = pool.reserve("10.0.0.2")
    assert kept is not None
    assert pool.reserve("10.0.0.2") is None
    assert pool.allocate() != kept


READY = Grant(appliance_id="sm-press", needs_approval=True, services=frozenset({"modbus", "vnc"}))
APPROVAL = Grant(device_id="dev-plc", is_approval=True, valid_until=200.0)


def test_grant_that_needs_approval_opens_nothing_but_may_be_asked_for() -> None:
    assert _reached(READY) == {}
    asked = requestable((READY,), PRESS, 100.0)
    assert [(device.name, [service.name for service in device.services]) for device in asked] == [
        ("plc", ["modbus"]),
        ("hmi", ["vnc"]),
    ]
    later = Grant(domain="acme", needs_approval=True, valid_from=150.0, valid_until=160.0)
    assert requestable((later,), PRESS, 100.0)
    assert not requestable((later,), PRESS, 160.0)
    assert not requestable((Grant(domain="acme"), APPROVAL), PRESS, 100.0)


def test_approval_opens_what_a_grant_holds_ready_and_nothing_else() -> None:
    assert _reached(APPROVAL) == {}
    assert _reached(APPROVAL, Grant(domain="acme", services=frozenset({"ping"}))) == {"plc": ("ping",)}
    assert _reached(APPROVAL, READY) == {"plc": ("modbus",)}
    rights = decide((APPROVAL, READY), PRESS, 100.0)
    assert (rights.ends_at, rights.needs_reason) == (200.0, False)
    assert _reached(APPROVAL, READY, now=200.0) == {}


def test_reason_is_asked_for_when_something_is_open_only_by_a_grant_that_asks() -> None:
    asking = Grant(domain="acme", needs_reason=True)
    assert decide((asking,), PRESS, 100.0).needs_reason
    assert decide((asking, Grant(appliance_id="sm-press", services=frozenset({"ping"}))), PRESS, 100.0).needs_reason
    assert not decide((asking, Grant(domain="acme")), PRESS, 100.0).needs_reason
    assert not decide((asking, Grant(device_id="dev-plc")), PRESS, 100.0, ("dev-plc",)).needs_reason
    assert not decide((msgspec.structs.replace(READY, needs_reason=True), APPROVAL), PRESS, 100.0).needs_reason


def test_grant_counts_within_its_weekly_windows_alone() -> None:
    # Unix time 0 was a Thursday.
    weekly = Weekly(zone="UTC", windows=(Window(days=frozenset({3}), begin="00:01", end="00:02"),))
    grant = Grant(domain="acme", weekly=weekly, valid_until=7 * 86400 + 90.0)
    assert decide((grant,), PRESS, 59.0) == Rights((), None, 60.0)
    rights = decide((grant,), PRESS, 60.0)
    assert (bool(rights.devices), rights.ends_at, rights.changes_at) == (True, 120.0, 120.0)
    assert decide((grant,), PRESS, 120.0).changes_at == 7 * 86400 + 60.0
    assert decide((grant,), PRESS, 7 * 86400 + 60.0).ends_at == 7 * 86400 + 90.0


@pytest.mark.parametrize(
    ("roles", "counts"),
    [
        ((), True),
        ((Role("observer", "acme"),), False),
        ((Role("observer", "acme"), Role("operator", "acme/line3")), True),
        ((Role("observer", "other"),), True),
        ((Role("approver"),), False),
        ((Role("administrator", "acme"),), True),
    ],
)
def test_grants_of_who_only_watches_do_not_count(roles: tuple[Role, ...], counts: bool) -> None:
    rights = decide((Grant(domain="acme"),), PRESS, 100.0, roles=roles)
    assert bool(rights.devices) is counts
    assert bool(requestable((READY,), PRESS, 100.0, roles)) is counts

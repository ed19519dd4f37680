"""Permanent relays: what they open of what is granted, and what is said of them."""

from __future__ import annotations

import pytest

from gatelink.messages import DeviceAccess, RelayState, Service
from gm_server.access.actors import Role
from gm_server.access.relays import FIRST_PC_PORT, Observed, Relay, condition, is_open, relay_rights
from gm_server.access.rights import Appliance, Grant

PLC = DeviceAccess(
    "d1", "plc", "192.168.50.10", (Service("web", "tcp", 8000, 8100), Service("modbus", "tcp", 502, 502))
)
HMI = DeviceAccess("d2", "hmi", "192.168.50.11", (Service("modbus", "tcp", 502, 502),))
PRESS = Appliance("sm-1", "acme", "press", b"certificate", (PLC, HMI))
PULL = Relay("r1", "from-plc", "u1", "sm-1", "d1", "pull", 15020, "web", 8080)
PUSH = Relay("r2", "to-server", "u1", "sm-1", "d1", "push", 1883, "", FIRST_PC_PORT)
ELSEWHERE = Relay("r3", "other", "u1", "sm-2", "d9", "pull", 15021, "modbus", 502)
RELAYS = (PULL, PUSH, ELSEWHERE)


def test_one_port_is_open_when_the_grant_opens_everything() -> None:
    rights = relay_rights([Grant(domain="acme", bridged=True, needs_reason=True)], PRESS, RELAYS, 0.0)
    [device] = rights.devices
    assert device.services == (Service("web", "tcp", 8080, 8080),)
    assert [(push.relay_id, push.port, push.pc_port) for push in device.pushes] == [("r2", 1883, FIRST_PC_PORT)]
    assert not rights.bridged
    assert not rights.needs_reason
    assert is_open(PULL, rights)
    assert is_open(PUSH, rights)
    assert not is_open(ELSEWHERE, rights)


@pytest.mark.parametrize(
    ("services", "opened"),
    [({"web"}, {"r1"}), ({"push"}, {"r2"}), ({"modbus"}, set()), ({"web", "push"}, {"r1", "r2"})],
)
def test_relay_is_open_when_the_grant_names_its_service(services: set[str], opened: set[str]) -> None:
    rights = relay_rights([Grant(device_id="d1", services=frozenset(services))], PRESS, RELAYS, 0.0)
    assert {relay.relay_id for relay in RELAYS if is_open(relay, rights)} == opened


def test_nothing_is_open_when_no_grant_counts() -> None:
    grants = [
        Grant(device_id="d2"),
        Grant(device_id="d1", valid_until=5.0),
        Grant(device_id="d1", needs_approval=True),
    ]
    assert not relay_rights(grants, PRESS, RELAYS, 10.0).devices
    assert not relay_rights([Grant(domain="acme")], PRESS, RELAYS, 0.0, (Role("observer"),)).devices
    assert not relay_rights([Grant(domain="acme")], PRESS, (ELSEWHERE,), 0.0).devices


def test_rights_are_decided_again_when_a_grant_ends() -> None:
    rights = relay_rights([Grant(device_id="d1", valid_until=5.0)], PRESS, RELAYS, 0.0)
    assert (rights.ends_at, rights.changes_at) == (5.0, 5.0)


def test_port_is_closed_when_the_service_has_it_no_more() -> None:
    changed = Appliance("sm-1", "acme", "press", b"c", (DeviceAccess("d1", "plc", "192.168.50.10", ()),))
    rights = relay_rights([Grant(domain="acme")], changed, RELAYS, 0.0)
    assert not is_open(PULL, rights)
    assert is_open(PUSH, rights)


def test_serial_port_pushes_nothing() -> None:
    serial = DeviceAccess("d1", "drive", "", (), virtual_address="100.96.0.2", serial_port="rs485-1")
    rights = relay_rights([Grant(domain="acme")], Appliance("sm-1", "acme", "p", b"c", (serial,)), RELAYS, 0.0)
    assert not rights.devices


LISTENING = RelayState("r1", "listening", "on 127.0.0.1 port 1")


@pytest.mark.parametrize(
    ("enabled", "allowed", "observed", "expected"),
    [
        (False, True, Observed(online=True, locked=False, told=LISTENING), "off"),
        (True, False, Observed(online=True, locked=False, told=LISTENING), "denied"),
        (True, True, None, "unknown"),
        (True, True, Observed(online=False, locked=True, told=LISTENING), "offline"),
        (True, True, Observed(online=True, locked=True, told=LISTENING), "locked"),
        (True, True, Observed(online=True, locked=False, told=None), "not carried"),
        (True, True, Observed(online=True, locked=False, told=LISTENING), "listening"),
    ],
)
def test_first_obstacle_is_named(enabled: bool, allowed: bool, observed: Observed | None, expected: str) -> None:
    state, text = condition(enabled=enabled, allowed=allowed, observed=observed)
    assert state == expected
    assert text

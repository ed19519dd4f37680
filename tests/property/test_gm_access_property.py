"""Invariants of the access core over arbitrary grants, moments and orders of events."""

from __future__ import annotations

import ipaddress

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gatelink.exceptions import Refused
from gatelink.messages import DeviceAccess, Service, TunnelAddresses
from gm_server.access.rights import Appliance, Grant, Rights, decide
from gm_server.access.tunnels import TunnelPool

_NAMES = ("modbus", "ping", "vnc")
_PATHS = ("acme", "acme/line3", "acme/line4", "other")
_MOMENTS = st.none() | st.integers(0, 20).map(float)
_SERVICES = st.none() | st.frozensets(st.sampled_from(_NAMES))


def _grant(target: Grant, services: frozenset[str] | None, start: float | None, end: float | None) -> Grant:
    return msgspec.structs.replace(target, services=services, valid_from=start, valid_until=end)


_TARGETS = st.one_of(
    st.sampled_from(_PATHS).map(lambda path: Grant(domain=path)),
    st.sampled_from(("sm-1", "sm-2")).map(lambda appliance: Grant(appliance_id=appliance)),
    st.sampled_from(("dev-0", "dev-1", "dev-9")).map(lambda device: Grant(device_id=device)),
)
_GRANTS = st.lists(st.builds(_grant, _TARGETS, _SERVICES, _MOMENTS, _MOMENTS), max_size=6)
_DEVICES = st.lists(st.lists(st.sampled_from(_NAMES), unique=True), max_size=3).map(
    lambda found: tuple(
        DeviceAccess(
            f"dev-{number}", f"d{number}", f"10.0.0.{number}", tuple(Service(name, "tcp", 1, 1) for name in names)
        )
        for number, names in enumerate(found)
    )
)
_APPLIANCES = st.builds(
    lambda path, devices: Appliance("sm-1", path, "press", b"", devices), st.sampled_from(_PATHS), _DEVICES
)


def _pairs(rights: Rights) -> set[tuple[str, str]]:
    return {(device.device_id, service.name) for device in rights.devices for service in device.services}


@given(_GRANTS, _APPLIANCES, st.integers(-1, 21))
def test_nothing_is_open_that_no_valid_grant_opens(grants: list[Grant], appliance: Appliance, now: int) -> None:
    expected = set()
    for device in appliance.devices:
        for service in device.services:
            for grant in grants:
                begun = grant.valid_from is None or grant.valid_from <= now
                over = grant.valid_until is not None and grant.valid_until <= now
                in_domain = grant.domain is not None and f"{appliance.domain}/".startswith(f"{grant.domain}/")
                hit = in_domain or grant.appliance_id == "sm-1" or grant.device_id == device.device_id
                if begun and not over and hit and (grant.services is None or service.name in grant.services):
                    expected.add((device.device_id, service.name))
    assert _pairs(decide(grants, appliance, float(now))) == expected


@given(_GRANTS, _APPLIANCES, st.integers(-1, 21))
def test_nothing_changes_before_the_moment_that_was_named(grants: list[Grant], appliance: Appliance, now: int) -> None:
    rights = decide(grants, appliance, float(now))
    until = 30.0 if rights.changes_at is None else rights.changes_at
    assert until > now
    moment = float(now)
    while moment < until:
        assert decide(grants, appliance, moment).devices == rights.devices
        moment += 0.5


@given(_GRANTS, _APPLIANCES, st.integers(-1, 21), st.integers(0, 5))
def test_a_grant_less_never_opens_more(grants: list[Grant], appliance: Appliance, now: int, gone: int) -> None:
    fewer = grants[:gone] + grants[gone + 1 :]
    assert _pairs(decide(fewer, appliance, float(now))) <= _pairs(decide(grants, appliance, float(now)))


@given(_GRANTS, _APPLIANCES, st.integers(-1, 21))
def test_everything_is_over_at_the_end_that_was_named(grants: list[Grant], appliance: Appliance, now: int) -> None:
    known = [grant for grant in grants if grant.is_valid(float(now))]
    rights = decide(known, appliance, float(now))
    if rights.ends_at is not None:
        assert rights.ends_at > now
        assert not decide(known, appliance, rights.ends_at).devices


@given(st.lists(st.integers(-3, 9), max_size=60), st.integers(0, 100))
def test_live_tunnels_never_overlap(steps: list[int], start: int) -> None:
    network = ipaddress.IPv4Network("10.0.0.0/27")
    pool = TunnelPool(network, start)
    live: list[TunnelAddresses] = []
    for step in steps:
        if step < 0:
            try:
                live.append(pool.allocate())
            except Refused:
                assert len(live) == 8
        elif step < len(live):
            pool.release(live.pop(step))
        else:
            kept = pool.reserve(str(network[4 * (step % 8) + 2]))
            if kept is not None:
                live.append(kept)
        blocks = [ipaddress.IPv4Network(f"{tunnel.pc}/30", strict=False) for tunnel in live]
        assert len(set(blocks)) == len(blocks)
        assert all(block.subnet_of(network) for block in blocks)
        assert all(ipaddress.IPv4Address(tunnel.gateway) in block for tunnel, block in zip(live, blocks, strict=True))

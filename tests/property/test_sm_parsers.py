"""What the SM reads that others wrote: no input does anything but a clear error; grants open exactly themselves."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gatelink.exceptions import Refused
from gatelink.messages import DeviceAccess, Service, TunnelAddresses
from sitemanager.config import Config, parse, to_toml, with_value
from sitemanager.core.admission import admit_devices, admit_tunnel
from sitemanager.core.desired import DesiredState, SessionNetwork
from sitemanager.core.rules import granted_ranges, ruleset
from sitemanager.exceptions import ConfigError, StateError
from sitemanager.host.lock import RemoteAccessLock
from sitemanager.host.state import State
from sitemanager.logs import printable

ports = st.integers(1, 60)
services = st.builds(
    lambda protocol, first, last: Service("s", protocol, min(first, last), max(first, last)),
    st.sampled_from(["tcp", "udp"]),
    ports,
    ports,
)
devices = st.builds(
    lambda last, granted: DeviceAccess("d", "d", f"192.168.50.{last}", tuple(granted)),
    st.integers(10, 12),
    st.lists(services, max_size=6),
)
toml_values = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 70000), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@given(st.lists(devices, max_size=4))
def test_ranges_open_exactly_the_granted_ports(granted: list[DeviceAccess]) -> None:
    wanted = {
        (device.address, service.protocol, port)
        for device in granted
        for service in device.services
        for port in range(service.first_port, service.last_port + 1)
    }
    found = [
        (str(address), protocol, port)
        for address, protocol, first, last in granted_ranges(tuple(granted))
        for port in range(first, last + 1)
    ]
    assert len(found) == len(set(found)), "ranges overlap: nft would refuse them"
    assert set(found) == wanted


@given(st.text(max_size=20), st.text(max_size=20), st.lists(services, max_size=3))
def test_rules_hold_nothing_that_was_not_an_address(address: str, name: str, granted: list[Service]) -> None:
    device = DeviceAccess("d", name, address, tuple(granted) or (Service("s", "tcp", 1, 1),))
    session = SessionNetwork("gls0", "100.64.0.2", "100.64.0.1", 30, (device,), 1)
    try:
        admit_devices((device,), (), ("eth1",))
    except Refused:
        return
    assert set(ruleset(DesiredState((session,), ("eth1",)), ())) <= set(
        'abcdefghijklmnopqrstuvwxyz_0123456789 .,;:{}@"*!=&<>-/\n\t'
    )


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 40))
def test_tunnel_is_admitted_or_refused(pc: str, gateway: str, prefix_length: int) -> None:
    try:
        admit_tunnel(TunnelAddresses(pc=pc, gateway=gateway, prefix_length=prefix_length), ())
    except (Refused, ValueError) as error:
        assert isinstance(error, Refused) or not 8 <= prefix_length <= 30  # noqa: PT017


@given(st.binary(max_size=200))
def test_configuration_is_read_or_refused_when_it_is_any_bytes(data: bytes) -> None:
    try:
        parse(data, "config")
    except ConfigError as error:
        assert error.mistakes  # noqa: PT017


@given(st.dictionaries(st.sampled_from([*Config.__struct_fields__, "x"]), toml_values, max_size=4))
def test_configuration_is_whole_or_refused_with_paths(values: dict[str, object]) -> None:
    from sitemanager.config import checked

    try:
        config = checked(values, "config")
    except ConfigError as error:
        assert all(mistake.startswith(tuple(values)) for mistake in error.mistakes)  # noqa: PT017
    else:
        assert parse(to_toml(config).encode(), "config") == config


@given(st.sampled_from([*Config.__struct_fields__, "x"]), st.text(max_size=30))
def test_key_is_set_or_refused_when_any_text_is_typed(key: str, text: str) -> None:
    try:
        config = with_value(Config(), key, text)
    except ConfigError:
        return
    assert parse(to_toml(config).encode(), "config") == config


@given(st.binary(max_size=120), st.sampled_from(["identity.pem", "pin.json", "gatemanager.json", "waiting.json"]))
def test_state_is_read_or_named_damaged_when_a_file_is_any_bytes(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        state = State(Path(directory))
        (Path(directory) / name).write_bytes(data)
        try:
            state.identity(), state.pin(), state.known(), state.waiting()
        except StateError as error:
            assert name in str(error)  # noqa: PT017


@given(st.binary(max_size=20))
def test_access_is_locked_unless_the_file_says_that_it_is_allowed(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "remote-access").write_bytes(data)
        assert (RemoteAccessLock(Path(directory)).reason() is None) == (data == b"allowed\n")


@given(st.text())
def test_log_line_is_one_line_whatever_is_in_it(text: str) -> None:
    assert printable(text).isprintable()

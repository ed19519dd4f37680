"""No text and no bytes crash what the LinkManager parses."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelink.exceptions import GatelinkError, InputError
from lm_client import config
from lm_client.core.local import ApplianceView, DeviceView
from lm_client.core.local import decode_request as decode_local
from lm_client.core.names import resolve
from lm_client.host.fake import FakeNames, FakeNetwork
from lm_client.service.protocol import Request
from lm_client.service.rules import parse_host
from lm_client.service.tunnel import Tunnel
from lm_client.streams.unix import UnixStream

TEXTS = st.text(alphabet="ab/AB ", max_size=8)
DEVICES = st.builds(DeviceView, TEXTS, TEXTS, st.just("10.0.0.1"), st.just(()))
APPLIANCES = st.builds(ApplianceView, TEXTS, TEXTS, TEXTS, st.booleans(), st.lists(DEVICES, max_size=3).map(tuple))
TOML: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["schema", "link", "session", "service", "ports", "proxies", "socket", "host", "x"])
ADDRESSES = st.sampled_from(
    ["10.0.0.1", "198.18.0.1", "198.18.0.2", "127.0.0.1", "0.0.0.0", "10.0.0.300", "10.0.0.0/8"]
)
REQUESTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["open-tunnel", "change-routes", "close-tunnel", "x"])},
    optional={
        "label": st.sampled_from(["", "press"]) | st.text(max_size=5),
        "pc": ADDRESSES,
        "gateway": ADDRESSES,
        "prefix_length": st.integers(20, 33) | st.integers(-(2**63), 2**64 - 1),
        "mtu_bytes": st.integers(0, 10000),
        "devices": st.lists(ADDRESSES, max_size=4),
        "keep_clear": st.lists(ADDRESSES, max_size=4),
    },
)


@given(TEXTS, st.lists(APPLIANCES, max_size=5))
def test_name_is_resolved_or_refused_whatever_is_typed(text: str, appliances: list[ApplianceView]) -> None:
    try:
        target = resolve(text, appliances)
    except InputError:
        return
    assert target.appliance in appliances
    assert target.device_id in {"", *(device.device_id for device in target.appliance.devices)}


@given(st.text(max_size=40))
def test_address_is_parsed_or_refused_whatever_is_sent(text: str) -> None:
    with contextlib.suppress(InputError):
        assert str(parse_host(text, "a device")) == text


@given(st.dictionaries(KEYS, TOML | st.dictionaries(KEYS, TOML, max_size=3), max_size=4))
def test_settings_are_read_or_refused_whatever_they_are(data: dict[str, Any]) -> None:
    with contextlib.suppress(InputError):
        config.parse(data)


@given(st.binary(max_size=200))
def test_local_request_is_decoded_or_refused_whatever_is_sent(data: bytes) -> None:
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        decode_local(data)


def _serve(chunks: list[bytes]) -> FakeNetwork:
    """Send this to the service; return the network as it is when the caller has gone."""
    network = FakeNetwork()
    near, far = socket.socketpair()
    tunnel = Tunnel(UnixStream(near), network, FakeNames(), threading.Lock())
    serving = threading.Thread(target=tunnel.serve)
    serving.start()
    with far, contextlib.suppress(OSError):
        for chunk in chunks:
            far.sendall(chunk)
        far.shutdown(socket.SHUT_WR)
        while far.recv(65536):
            pass
    serving.join(10)
    assert not serving.is_alive()
    return network


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=100), max_size=4))
def test_service_leaves_nothing_whatever_bytes_are_sent(chunks: list[bytes]) -> None:
    assert not _serve(chunks).adapters


@settings(max_examples=60, deadline=None)
@given(st.lists(REQUESTS, max_size=4))
def test_service_leaves_nothing_whatever_is_asked(requests: list[dict[str, Any]]) -> None:
    payloads = [msgspec.msgpack.encode(request) for request in requests]
    network = _serve([len(payload).to_bytes(4, "big") + payload for payload in payloads])
    assert not network.adapters
    assert network.opened <= 4


def test_every_request_is_of_the_vocabulary() -> None:
    kinds = {kind.__struct_config__.tag for kind in Request.__args__}
    assert kinds == {"open-tunnel", "change-routes", "close-tunnel"}
    assert issubclass(GatelinkError, Exception)

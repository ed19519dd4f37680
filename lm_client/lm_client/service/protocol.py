"""What is said on the service's socket. Parses what callers without rights send; every field is bounded here.

Frames as in ``gatelink.frames``, one MessagePack struct in each. No version: both ends come from one installation.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

MAX_DEVICES: Final = 512
MAX_REQUEST_BYTES: Final = 192 * 1024
"""512 devices with names of full length and 64 addresses to keep clear, with room. A security limit."""

Address: TypeAlias = Annotated[str, Meta(min_length=7, max_length=15)]
Devices: TypeAlias = Annotated[tuple[Address, ...], Meta(max_length=MAX_DEVICES)]
KeepClear: TypeAlias = Annotated[tuple[Address, ...], Meta(max_length=64)]


class HostName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name under ``gatelink`` for one of the devices."""

    name: Annotated[str, Meta(max_length=253, pattern=r"\A([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+gatelink\Z")]
    address: Address


Names: TypeAlias = Annotated[tuple[HostName, ...], Meta(max_length=MAX_DEVICES)]
DnsPort: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]


def _tag(class_name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in class_name).lstrip("-")


class _Message(msgspec.Struct, frozen=True, tag_field="type", tag=_tag, kw_only=True, forbid_unknown_fields=True):
    """Base of all messages: the tag is the class name in lower case with hyphens."""


class OpenTunnel(_Message, frozen=True):
    """Asks for the connection's one TAP adapter, with its routes."""

    label: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{0,32}\Z")]
    """Shown by ``ip link`` behind the adapter, for people."""
    pc: Address
    gateway: Address
    prefix_length: Annotated[int, Meta(ge=24, le=30)]
    mtu_bytes: Annotated[int, Meta(ge=576, le=9000)]
    devices: Devices
    keep_clear: KeepClear = ()
    """Addresses that the caller itself needs outside of the tunnel: those of the GateManager and of proxies."""
    names: Names = ()
    dns_port: DnsPort = 0
    """Where the caller answers questions for these names, on 127.0.0.1; 0 if it does not."""
    bridged: bool = False
    """The far end is the machine's Ethernet itself: no tunnel addresses, devices are neighbours."""
    plant_address: Annotated[str, Meta(max_length=18)] = ""
    """Bridged only: this PC's address there, ``192.168.50.200`` or ``192.168.50.200/24``: with the length of the
    plant's network its broadcast address is led there, too. Without one there are no ``devices``, and layer 2 alone."""


class ChangeRoutes(_Message, frozen=True):
    """The full new set of devices."""

    devices: Devices
    keep_clear: KeepClear = ()
    names: Names = ()
    dns_port: DnsPort = 0


class CloseTunnel(_Message, frozen=True):
    """Asks for the end of the tunnel; closing the connection does the same, without an answer."""


class TunnelOpened(_Message, frozen=True):
    """The adapter is up; its descriptor comes with this message (SCM_RIGHTS)."""

    interface: str
    adapter: int = 0
    """On Windows: the caller's own handle to it."""
    warnings: tuple[str, ...] = ()


class RoutesChanged(_Message, frozen=True):
    """The routes are as asked."""

    warnings: tuple[str, ...] = ()


class TunnelClosed(_Message, frozen=True):
    """Adapter and routes are gone."""


class ServiceRefusal(_Message, frozen=True):
    """A no; the connection ends, and with it what it had."""

    text: str


Request: TypeAlias = OpenTunnel | ChangeRoutes | CloseTunnel
Answer: TypeAlias = TunnelOpened | RoutesChanged | TunnelClosed | ServiceRefusal

_requests: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)
_answers: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)
decode_request: Final = _requests.decode
decode_answer: Final = _answers.decode
encode: Final = msgspec.msgpack.Encoder().encode

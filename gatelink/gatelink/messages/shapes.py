"""What messages are made of: bounded types and the records that several messages carry."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gatelink.wire import NONCE_BYTES

Identifier: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Text: TypeAlias = Annotated[str, Meta(max_length=512)]
Nonce: TypeAlias = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Digest: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Der: TypeAlias = Annotated[bytes, Meta(min_length=1, max_length=4096)]
Password: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Address: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Ipv4: TypeAlias = Annotated[str, Meta(max_length=15)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Ticket: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Resume: TypeAlias = Annotated[bytes, Meta(max_length=128)]
RequestId: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Counter: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=4e10)]


def _tag(class_name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in class_name).lstrip("-")


class Message(msgspec.Struct, frozen=True, tag_field="type", tag=_tag, kw_only=True):
    """Base of all messages: the tag is the class name in lower case with hyphens."""


class Service(msgspec.Struct, frozen=True):
    """A protocol and its ports that a grant may open. ``icmp`` means echo request; its ports are 0.

    ``ethernet`` is a protocol below IP, open in bridged sessions only; its "ports" are EtherTypes (PROFINET: 0x8892).
    """

    name: Name
    protocol: Literal["tcp", "udp", "icmp", "ethernet"]
    first_port: Port = 0
    last_port: Port = 0


class LineSettings(msgspec.Struct, frozen=True):
    """How a serial line is set."""

    baud: Annotated[int, Meta(ge=50, le=4_000_000)]
    data_bits: Annotated[int, Meta(ge=5, le=8)] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class Push(msgspec.Struct, frozen=True):
    """Of a permanent relay: TCP that a device opens to the SM is carried to the PC's end of the tunnel."""

    relay_id: Identifier
    port: Annotated[int, Meta(ge=1, le=65535)]
    """At the SM, from this device alone."""
    pc_port: Annotated[int, Meta(ge=1024, le=65535)]


class DeviceAccess(msgspec.Struct, frozen=True):
    """A device behind an SM with the services that may be reached there."""

    device_id: Identifier
    name: Name
    address: Ipv4
    """In the plant network, dotted decimal; empty for a serial port, which has its virtual address alone."""
    services: Annotated[tuple[Service, ...], Meta(max_length=64)]
    virtual_address: Ipv4 = ""
    """The same for ever: the SM translates it to the device, for PCs on which the real one is taken."""
    serial_port: Annotated[str, Meta(max_length=64)] = ""
    """The SM's port that this device is, if it is none with an address."""
    mac: Annotated[str, Meta(max_length=17)] = ""
    """Lower case with colons; what bridged sessions are filtered by. Empty: not known, not bridged."""
    line: LineSettings | None = None
    """Of the serial port, by the administrator; None: as the SM's own configuration says."""
    pushes: Annotated[tuple[Push, ...], Meta(max_length=16)] = ()
    """What the device may open itself; in sessions for permanent relays alone."""


Mode: TypeAlias = Literal["routed", "bridged"]


class DeviceState(msgspec.Struct, frozen=True):
    """What the SM's last check of a device found. ``reachable`` is None when it was never checked."""

    device_id: Identifier
    reachable: bool | None
    checked_at: Seconds = 0
    text: Annotated[str, Meta(max_length=128)] = ""


DeviceStateList: TypeAlias = Annotated[tuple[DeviceState, ...], Meta(max_length=512)]


Devices: TypeAlias = Annotated[tuple[DeviceAccess, ...], Meta(max_length=512)]


class TunnelAddresses(msgspec.Struct, frozen=True):
    """The two ends of a session's Ethernet segment: a /30 (``prefix_length``) that the GM chose."""

    pc: Ipv4
    gateway: Ipv4
    prefix_length: Annotated[int, Meta(ge=8, le=30)] = 30


class Route(msgspec.Struct, frozen=True):
    """How a party reached the GM."""

    address: Address
    port: Port
    proxy: bool = False


class PinAlarm(msgspec.Struct, frozen=True):
    """A certificate that was not the pinned one, met on the way to the GM."""

    route: Route
    serial: Annotated[str, Meta(max_length=64)]
    key_sha256: Digest
    seen_at: Seconds
    """Unix time by the clock of who reports."""


PinAlarms: TypeAlias = Annotated[tuple[PinAlarm, ...], Meta(max_length=16)]


class ApplianceView(msgspec.Struct, frozen=True):
    """An appliance as a user may see it."""

    appliance_id: Identifier
    domain: Annotated[str, Meta(max_length=512)]
    """Path of domain names, ``/`` between them."""
    name: Name
    online: bool
    devices: Devices
    """Only what the user may reach now."""
    requestable: Devices = ()
    """What the user may reach once a request is approved."""
    states: DeviceStateList = ()
    modes: Annotated[tuple[Mode, ...], Meta(max_length=2)] = ("routed",)
    """That the user's grants allow."""
    needs_reason: bool = False
    locked: bool = False
    """At the machine; nobody overrides that."""
    connected_users: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()
    online_since: Seconds | None = None


class SuccessionStatement(msgspec.Struct, frozen=True):
    """'The holder of the old key says that this certificate follows': checked by ``pins.follow``."""

    old_key_sha256: Digest
    new_certificate: Der
    signature: Annotated[bytes, Meta(max_length=128)]
    """ECDSA P-256 over SHA-256, DER, by the old key."""

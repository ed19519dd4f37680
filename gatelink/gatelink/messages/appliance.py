"""control, SM and GM: what the SM reports of itself and its devices, and what the GM asks it to do besides sessions."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from .shapes import (
    Counter,
    DeviceStateList,
    Digest,
    Identifier,
    Ipv4,
    Message,
    Mode,
    Name,
    PinAlarms,
    Port,
    RequestId,
    Route,
    Seconds,
    Text,
)

MAX_CHUNK_BYTES: Final = 32 * 1024
"""Of a bundle in one message: two of them fit a frame."""
FirmwareState: TypeAlias = Literal[
    "refused", "waiting", "fetching", "installing", "restarting", "good", "failed", "fell-back"
]


class ApplianceLogin(Message, frozen=True):
    """The first message of an SM. Who it is follows from its certificate alone."""

    software: Text
    run_id: Identifier
    """Random for each run of the daemon: with another one, no session of the earlier run can still live."""
    route: Route
    pin_alarms: PinAlarms = ()


class UplinkState(msgspec.Struct, frozen=True):
    """A way out of the site."""

    name: Name
    kind: Literal["ethernet", "wifi", "modem"]
    interface: Annotated[str, Meta(max_length=15)]
    state: Literal["active", "standby", "failed", "off"]
    address: Ipv4 = ""
    text: Annotated[str, Meta(max_length=128)] = ""


class SerialPortState(msgspec.Struct, frozen=True):
    """A serial port of the SM, by the name that stays with it."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    text: Annotated[str, Meta(max_length=128)] = ""
    present: bool = True
    used_by: Annotated[str, Meta(max_length=128)] = ""


class ApplianceStatus(Message, frozen=True):
    """The SM as it is now: said after the login and at every change, at most once in 2 s."""

    hardware: Annotated[str, Meta(max_length=128)] = ""
    firmware: Annotated[str, Meta(max_length=128)] = ""
    """Version of the image; empty on other systems."""
    slot: Annotated[str, Meta(max_length=16)] = ""
    uptime_s: Seconds = 0
    locked: bool = False
    locked_by: Annotated[str, Meta(max_length=64)] = ""
    uplinks: Annotated[tuple[UplinkState, ...], Meta(max_length=16)] = ()
    serial_ports: Annotated[tuple[SerialPortState, ...], Meta(max_length=32)] = ()
    modes: Annotated[tuple[Mode, ...], Meta(max_length=2)] = ("routed",)
    """Of sessions, that this SM can do."""


class DeviceStates(Message, frozen=True):
    """What checks found; only devices whose state changed, and all of them after a WatchDevices."""

    states: DeviceStateList


class FoundDevice(msgspec.Struct, frozen=True):
    """A device that a scan met. Texts are what the device says of itself: never to be believed, always escaped."""

    address: Ipv4 = ""
    mac: Annotated[str, Meta(max_length=17)] = ""
    vendor: Annotated[str, Meta(max_length=128)] = ""
    model: Annotated[str, Meta(max_length=128)] = ""
    name: Annotated[str, Meta(max_length=128)] = ""
    serial: Annotated[str, Meta(max_length=64)] = ""
    version: Annotated[str, Meta(max_length=64)] = ""
    protocols: Annotated[tuple[Annotated[str, Meta(max_length=32)], ...], Meta(max_length=16)] = ()
    """By which it was identified: ``arp``, ``profinet-dcp``, ``ethernet-ip``, ``modbus``, ``s7``, ``opc-ua``, ..."""
    preset: Annotated[str, Meta(max_length=64)] = ""
    """The one that fits, if any."""


class ScanResult(Message, frozen=True):
    """A part of the answer to Scan; the last one says ``finished``."""

    request_id: RequestId
    found: Annotated[tuple[FoundDevice, ...], Meta(max_length=64)]
    finished: bool
    text: Text = ""


class ApplianceEvent(Message, frozen=True):
    """An alarm or an audit entry of the SM, kept there until EventsKept names its number or a later one."""

    number: Counter
    """Counts up by one for ever, over restarts."""
    kind: Identifier
    at: Seconds
    text: Text


class FirmwareFetch(Message, frozen=True):
    """Asks for a piece of an offered bundle."""

    request_id: RequestId
    bundle_id: Identifier
    offset: Counter
    size_bytes: Annotated[int, Meta(ge=1, le=MAX_CHUNK_BYTES)] = MAX_CHUNK_BYTES


class FirmwareProgress(Message, frozen=True):
    """How far an update is."""

    bundle_id: Identifier
    state: FirmwareState
    percent: Annotated[int, Meta(ge=0, le=100)] = 0
    text: Text = ""


class DeviceWatch(msgspec.Struct, frozen=True):
    """A device to be checked."""

    device_id: Identifier
    address: Ipv4
    kind: Literal["ping", "tcp", "modbus"] = "ping"
    port: Port = 0


class WatchDevices(Message, frozen=True):
    """The devices to be checked every ``period_s``: the full new list."""

    devices: Annotated[tuple[DeviceWatch, ...], Meta(max_length=512)]
    period_s: Annotated[float, Meta(ge=5, le=86400)] = 60.0


class Scan(Message, frozen=True):
    """Asks for what there is in the device network."""

    request_id: RequestId


class EventsKept(Message, frozen=True):
    """Every event up to this number is in the GM's database."""

    number: Counter


class FirmwareOffer(Message, frozen=True):
    """A bundle that the SM is to install. Without it running sessions are waited for."""

    bundle_id: Identifier
    version: Name
    size_bytes: Counter
    sha256: Digest
    allow_older: bool = False
    during_sessions: bool = False


class FirmwareChunk(Message, frozen=True):
    """The answer to FirmwareFetch; empty behind the end."""

    request_id: RequestId
    data: Annotated[bytes, Meta(max_length=MAX_CHUNK_BYTES)]

"""Serial ports as the configuration names them, and what each tcp port of a serial device offers. No I/O."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gatelink.messages import Devices, LineSettings

from .modbus import Framing

Kind = Literal["modbus", "rfc2217", "raw"]
Parity = Literal["none", "even", "odd"]
_PARITY: Final[dict[str, Parity]] = {"N": "none", "E": "even", "O": "odd"}
BITS_PER_BYTE: Final = 11
"""Start, eight bits, parity and stop: what Modbus reckons with whatever the settings are."""


class SerialConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A serial port, and how what is on it speaks."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
    """What the GateManager's device entry names."""
    device: Annotated[str, Meta(max_length=128)] = ""
    """A path in /dev; or the name of a found port (``sm serial``), which stays with its adapter. Empty: as ``name``."""
    baud: Annotated[int, Meta(ge=50, le=4_000_000)] = 9600
    data_bits: Annotated[int, Meta(ge=5, le=8)] = 8
    parity: Parity = "none"
    stop_bits: Literal[1, 2] = 1
    rs485: Literal["off", "rts-high", "rts-low"] = "off"
    """Let the kernel drive RTS as an RS-485 line's direction: its level while sending. USB adapters do it alone."""
    framing: Framing = "rtu"
    """Of the Modbus gateway."""
    answer_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1000
    """The Modbus gateway waits so long for a PLC's answer."""
    turnaround_ms: Annotated[int, Meta(ge=0, le=10_000)] = 100
    """After a broadcast nothing is sent for so long."""


def with_line(config: SerialConfig, line: LineSettings | None) -> SerialConfig:
    """Return a port's settings with those of its line that the GateManager's administrator made, if he made any."""
    if line is None:
        return config
    return msgspec.structs.replace(
        config, baud=line.baud, data_bits=line.data_bits, parity=_PARITY[line.parity], stop_bits=line.stop_bits
    )


def line_text(config: SerialConfig) -> str:
    """Return how a line is set, for people: ``19200 8E1``."""
    return f"{config.baud} {config.data_bits}{config.parity[0].upper()}{config.stop_bits}"


class FoundPort(msgspec.Struct, frozen=True):
    """A serial port of this host. ``name`` stays with the adapter, in whatever socket it is."""

    name: str
    path: str
    text: str


class Offer(msgspec.Struct, frozen=True):
    """A tcp port on the virtual address of a serial device."""

    serial_port: str
    address: str
    port: int
    kind: Kind


def kind_of(service_name: str) -> Kind:
    """Return what a service of a serial device is, by the beginning of its name; other names are raw bytes."""
    if service_name.startswith("modbus"):
        return "modbus"
    return "rfc2217" if service_name.startswith("rfc2217") else "raw"


def offers(devices: Devices) -> frozenset[Offer]:
    """Return what is to be served for these devices."""
    return frozenset(
        Offer(device.serial_port, device.virtual_address, port, kind_of(service.name))
        for device in devices
        if device.serial_port and device.virtual_address
        for service in device.services
        if service.protocol == "tcp"
        for port in range(service.first_port, min(service.last_port, service.first_port + 15) + 1)
    )


def lines(devices: Devices) -> dict[str, LineSettings | None]:
    """Return the settings of the lines of these devices, by serial port."""
    return {device.serial_port: device.line for device in devices if device.serial_port}


def matching(config: SerialConfig, found: tuple[FoundPort, ...]) -> str | None:
    """Return the path of the port that is meant; None if it is not plugged in."""
    wanted = config.device or config.name
    if wanted.startswith("/dev/"):
        return wanted
    return next((port.path for port in found if port.name == wanted), None)

"""What bridges of serial ports have in common: how a line is set, and how often they look."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

OPEN_POLL_S: Final = 0.25
"""Between two looks whether an application opened the port: no system has an event for that."""
AGAIN_S: Final = 2.0
CONNECT_TIMEOUT_S: Final = 10.0


class Line(NamedTuple):
    """What of a serial line an application can set. ``baud`` is 0 for a speed that has no name.

    ``data_bits`` and ``parity`` are 0 and empty where the system does not say them.
    """

    baud: int
    stop_bits: float
    data_bits: int = 0
    parity: str = ""


def set_line(remote: Any, line: Line) -> None:
    """Set the machine's line; raw services have no settings to set."""
    if not remote.portstr.startswith("rfc2217"):
        return
    if line.baud and remote.baudrate != line.baud:
        remote.baudrate = line.baud
    if remote.stopbits != line.stop_bits:
        remote.stopbits = line.stop_bits
    if line.data_bits and remote.bytesize != line.data_bits:
        remote.bytesize = line.data_bits
    if line.parity and remote.parity != line.parity:
        remote.parity = line.parity

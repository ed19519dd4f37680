"""What may be asked of the daemon about serial ports."""

from __future__ import annotations

import msgspec

from .local import LocalAnswer, LocalRequest


class SerialPortsRequest(LocalRequest, frozen=True):
    """The serial ports: those that are plugged in, and those that the configuration names."""


class SerialPortRow(msgspec.Struct, frozen=True):
    """One of them. ``used_by`` names the users that have it open."""

    name: str
    path: str
    text: str
    settings: str
    present: bool
    used_by: str


class SerialPortsAnswer(LocalAnswer, frozen=True):
    """By name."""

    ports: tuple[SerialPortRow, ...]

"""What may be asked of the daemon about the device network."""

from __future__ import annotations

from gatelink.messages import FoundDevice

from .local import LocalAnswer, LocalRequest


class ScanRequest(LocalRequest, frozen=True):
    """Look for devices at the machine side: some seconds, read-only."""


class ScanAnswer(LocalAnswer, frozen=True):
    """What was found, by address; ``text`` says what could not be looked at."""

    found: tuple[FoundDevice, ...]
    text: str = ""

"""How a serial port of a machine becomes one of this PC: a pty (Linux), or one end of a com0com pair (Windows)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from gatelink.messages import LineSettings

from .com_bridge import ComBridge
from .serial_line import Line

Note = Callable[[str], None]


class Bridge(Protocol):
    """One serial port."""

    @property
    def link(self) -> Path:
        """What an application opens, or the other end of the pair."""

    def start(self) -> None:
        """Wait for an application."""

    def close(self) -> None:
        """Remove it."""


MakeBridge = Callable[[str, str, LineSettings, Note], Bridge]
"""Makes one of the device's name, its address for pyserial, and the line's settings. Raises OSError."""


def bridge_maker(directory: Path, com_pairs: Mapping[str, str]) -> MakeBridge:
    """Return how this system does it. ``directory`` is for links to ptys, ``com_pairs`` are ports by device."""
    if sys.platform == "win32":
        return _com_maker(com_pairs)

    def make_pty(name: str, url: str, settings: LineSettings, note: Note) -> Bridge:
        from .pty_bridge import PtyBridge

        return PtyBridge(directory / name, url, settings, note)

    return make_pty


def _com_maker(com_pairs: Mapping[str, str]) -> MakeBridge:
    from lm_client.host.windows import com0com, dlls

    def open_port(port: str) -> Any:
        return importlib.import_module("serial").Serial(f"\\\\.\\{port}")

    def read_line(near: Any) -> Line | None:
        # pyserial keeps the handle of the port there.
        return com0com.read_line(dlls.load("kernel32"), near._port_handle)

    def make_com(name: str, url: str, settings: LineSettings, note: Note) -> Bridge:
        if name not in com_pairs:
            raise OSError(f"no com0com pair is set for it: add it to com_pairs in config.toml (`{name}`)")
        return ComBridge(com_pairs[name], url, settings, note, open_port, read_line)

    return make_com

"""Forwarding on the machine-side interfaces: turned on while sessions run, and put back, after a crash too.

The global switch is never touched: the kernel looks at the interface by which a packet comes in. What was there before
is written to a file before anything is changed; it stays until everything is put back. The file is worth nothing after
the machine was started anew, so it names the boot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from gatelink.files import write_atomically
from sitemanager.exceptions import NetworkError

from . import sysctls

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_FILE_NAME: Final = "forwarding.json"


class _Saved(msgspec.Struct):
    boot: str
    previous: dict[str, str]


class Forwarding:
    """The switches of all machine-side interfaces."""

    def __init__(self, runtime: Path) -> None:
        self._path = runtime / _FILE_NAME

    def prepare(self, interfaces: tuple[str, ...]) -> tuple[str, ...]:
        """Write down the values before us; return the interfaces on which forwarding is on, or will be, for us alone.

        Raises NetworkError.
        """
        previous = self._load()
        known = dict(previous)
        for interface in interfaces:
            value = sysctls.read("ipv4", interface, "forwarding")
            if interface not in previous and value is not None:
                previous[interface] = value
        if previous != known:
            self._save(previous)
        return tuple(sorted(name for name, value in previous.items() if value == "0"))

    def turn_on(self, interfaces: tuple[str, ...]) -> list[str]:
        """Turn forwarding on; return those interfaces that do not exist."""
        return [name for name in interfaces if not sysctls.write("ipv4", name, "forwarding", "1")]

    def restore(self) -> None:
        """Put every value back and forget them. Raises NetworkError."""
        for interface, value in self._load().items():
            sysctls.write("ipv4", interface, "forwarding", value)
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise NetworkError(f"cannot remove {self._path}: {error.strerror}") from None

    def _load(self) -> dict[str, str]:
        try:
            saved = msgspec.json.decode(self._path.read_bytes(), type=_Saved)
        except (FileNotFoundError, msgspec.DecodeError):
            return {}
        except OSError as error:
            raise NetworkError(f"cannot read {self._path}: {error.strerror}") from None
        return saved.previous if saved.boot == _boot() else {}

    def _save(self, previous: dict[str, str]) -> None:
        try:
            write_atomically(self._path, msgspec.json.encode(_Saved(_boot(), previous)))
        except OSError as error:
            raise NetworkError(f"cannot write {self._path}: {error.strerror}") from None


def _boot() -> str:
    return _BOOT_ID.read_text("ascii").strip()

"""The small initramfs: a static BusyBox, the modules of the disk, and a script that finds the slot and goes there.

Buildroot's kernels have these drivers built in and need none; Debian's has them as modules.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .kernel import Module
from .places import BOARDS

_SCRIPT: Final = BOARDS / "qemu" / "aarch64" / "initramfs.sh"
_DIRECTORIES: Final = ("bin", "dev", "proc", "sys", "root", "modules", "sbin")


def build(busybox: Path, modules: Iterable[Module], partition_script: Path) -> bytes:
    """Return the archive, compressed; the same input gives the same bytes."""
    archive = _Archive()
    for name in _DIRECTORIES:
        archive.add(name, 0o040755, b"")
    archive.add("bin/busybox", 0o100755, busybox.read_bytes())
    names = []
    for number, module in enumerate(modules):
        names.append(f"{number:02}-{Path(module.path).name}")
        archive.add(f"modules/{names[-1]}", 0o100644, module.data)
    archive.add("modules/order", 0o100644, "".join(f"{name}\n" for name in names).encode())
    archive.add("bin/partition", 0o100755, partition_script.read_bytes())
    archive.add("init", 0o100755, _SCRIPT.read_bytes())
    return gzip.compress(archive.finished(), 6, mtime=0)


class _Archive:
    """cpio, format `newc` (Linux, Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0

    def add(self, name: str, mode: int, data: bytes) -> None:
        self._count += 1
        fields = (self._count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        self._parts += [_padded(head), _padded(data)]

    def finished(self) -> bytes:
        self.add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)

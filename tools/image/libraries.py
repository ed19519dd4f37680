"""Which shared libraries the programs of a root want, by their ELF files: a missing one is found before the boot."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .exceptions import ImageError

_DYNAMIC: Final = 2
_LOAD: Final = 1
_NEEDED, _STRTAB = 1, 5


def check(root: Path) -> None:
    """Raise ImageError if a program or library of ``root`` wants a library that is not in it."""
    there = {name for _, _, names in os.walk(root / "usr" / "lib") for name in names}
    missing: dict[str, str] = {}
    for directory, _, names in os.walk(root / "usr"):
        for name in names:
            path = Path(directory) / name
            if not path.is_symlink():
                for library in needed(path):
                    if library not in there:
                        missing.setdefault(library, str(path.relative_to(root)))
    if missing:
        rows = ", ".join(f"{library} (for {program})" for library, program in sorted(missing.items()))
        raise ImageError(f"libraries are missing in the image: {rows}; correct `without` in debian.toml")


def needed(path: Path) -> list[str]:
    """Return the names in a file's dynamic section; nothing if it is no 64-bit little-endian ELF file."""
    with path.open("rb") as file:
        if file.read(6) != b"\x7fELF\x02\x01":
            return []
        file.seek(0)
        data = file.read()
    return list(_names(data))


def _names(data: bytes) -> Iterator[str]:
    (offset,) = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    headers = [struct.unpack_from("<IIQQQQ", data, offset + number * size) for number in range(count)]
    entries = [
        entry for kind, _, start, _, _, length in headers if kind == _DYNAMIC for entry in _dynamic(data, start, length)
    ]
    table = next((value for tag, value in entries if tag == _STRTAB), None)
    if table is None:
        return
    place = next(
        start + table - address
        for kind, _, start, address, _, length in headers
        if kind == _LOAD and address <= table < address + length
    )
    for tag, value in entries:
        if tag == _NEEDED:
            yield data[place + value : data.index(b"\0", place + value)].decode()


def _dynamic(data: bytes, start: int, length: int) -> Iterator[tuple[int, int]]:
    for position in range(start, start + length, 16):
        tag, value = struct.unpack_from("<qQ", data, position)
        if tag == 0:
            return
        yield tag, value

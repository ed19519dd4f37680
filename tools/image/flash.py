"""Writes an image to a card: ``python -m image.flash IMAGE DEVICE``. Asks, looks twice, reads back what it wrote.

Refuses what is not removable, what is mounted and what is too small: the wrong disk is gone for good.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .exceptions import ImageError
from .slots import MIB

_SYS: Final = Path("/sys/class/block")


def check(image: Path, device: Path, sys_block: Path = _SYS, mounts: Path = Path("/proc/mounts")) -> str:
    """Return what the device is, in words. Raises ImageError where it must not be written."""
    if not image.is_file():
        raise ImageError(f"no image {image}; make it with make image BOARD=... or make emulated-image")
    facts = sys_block / device.name
    if not facts.is_dir() or (facts / "partition").exists():
        raise ImageError(f"{device} is no whole disk; expected one such as /dev/sdb or /dev/mmcblk0")
    if (facts / "removable").read_text().strip() != "1" and not device.name.startswith("mmcblk"):
        raise ImageError(f"{device} is not removable: not written")
    for row in mounts.read_text().splitlines():
        if row.startswith(str(device)):
            raise ImageError(f"{row.split()[0]} is mounted at {row.split()[1]}; unmount it first")
    size_bytes = int((facts / "size").read_text()) * 512
    if size_bytes < image.stat().st_size:
        raise ImageError(f"{device} has {size_bytes // MIB} MiB, the image needs {image.stat().st_size // MIB} MiB")
    model = facts / "device" / "model"
    return f"{device}, {size_bytes // MIB} MiB, {model.read_text().strip() if model.exists() else 'model unknown'}"


def write(image: Path, device: Path) -> None:
    """Write and verify. Raises ImageError."""
    written = hashlib.sha256()
    with image.open("rb") as reader, device.open("r+b", buffering=0) as writer:
        while block := reader.read(4 * MIB):
            writer.write(block)
            written.update(block)
        os.fsync(writer.fileno())
        os.posix_fadvise(writer.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    read = hashlib.sha256()
    left = image.stat().st_size
    with device.open("rb", buffering=0) as reader_back:
        while left > 0 and (block := reader_back.read(min(4 * MIB, left))):
            read.update(block)
            left -= len(block)
    if read.digest() != written.digest():
        raise ImageError(f"{device} does not hold what was written: the card is bad; use another one")


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask and do it: 0, or 1 with one line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if len(words) != 2 or not all(words):
            raise ImageError("expected IMAGE=file DEVICE=/dev/sdX")
        image, device = Path(words[0]), Path(words[1])
        sys.stdout.write(f"Everything on {check(image, device)} will be gone. Type its name to go on: ")
        sys.stdout.flush()
        if sys.stdin.readline().strip() not in (str(device), device.name):
            raise ImageError("not the device's name: nothing was written")
        check(image, device)
        write(image, device)
    except (ImageError, OSError) as error:
        sys.stderr.write(f"flash: {error}\n")
        return 1
    sys.stdout.write("written and verified\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The card: partition table, boot state, boot partition, two system slots, the beginning of a data partition.

MBR, for every Raspberry Pi can read it; four partitions, whose PARTUUIDs are the disk's signature and a number.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from .places import EPOCH_S, GUARD
from .programs import run
from .slots import MIB, SLOT_MIB

SIGNATURE: Final = 0x6741E1CC
BOOT_START_MIB: Final = 4
BOOT_MIB: Final = 64
DATA_MIB: Final = 16
"""As shipped; the first boot makes it as large as the card allows."""
_SECTORS_PER_MIB: Final = MIB // 512
_FAT, _LINUX = 0x0C, 0x83


def build_boot(files: dict[str, Path], target: Path) -> None:
    """Make the boot partition: FAT, so that anybody can put ``gatelink.toml`` onto it. Raises ImageError."""
    target.unlink(missing_ok=True)
    with target.open("wb") as file:
        file.truncate(BOOT_MIB * MIB)
    environment = {"SOURCE_DATE_EPOCH": str(EPOCH_S), "MTOOLS_SKIP_CHECK": "1"}
    run(["mkfs.fat", "-F", "32", "-n", "GATELINK", "-i", f"{SIGNATURE:08X}", "--invariant", target])
    for name, path in files.items():
        os.utime(path, (EPOCH_S, EPOCH_S))
        run(["mcopy", "-m", "-i", target, path, f"::{name}"], env=environment)


def build(boot: Path, slot: Path, target: Path, size_mib: int) -> None:
    """Put the card together as a sparse file."""
    slot_a = BOOT_START_MIB + BOOT_MIB
    slot_b, data = slot_a + SLOT_MIB, slot_a + 2 * SLOT_MIB
    layout = (
        (_FAT, BOOT_START_MIB, BOOT_MIB),
        (_LINUX, slot_a, SLOT_MIB),
        (_LINUX, slot_b, SLOT_MIB),
        (_LINUX, data, DATA_MIB),
    )
    target.unlink(missing_ok=True)
    with target.open("wb") as file:
        file.truncate(size_mib * MIB)
        file.write(_table(layout))
        for offset, copy in zip(_bootstate().OFFSETS_BYTES, _bootstate().of_new_card(), strict=True):
            file.seek(offset)
            file.write(copy)
    _copy(boot, target, BOOT_START_MIB)
    _copy(slot, target, slot_a)


def _table(layout: tuple[tuple[int, int, int], ...]) -> bytes:
    sector = bytearray(512)
    sector[440:444] = SIGNATURE.to_bytes(4, "little")
    for number, (kind, start, length) in enumerate(layout):
        entry = bytearray(16)
        entry[0] = 0x80 if number == 0 else 0
        entry[1:4] = entry[5:8] = b"\xfe\xff\xff"
        entry[4] = kind
        entry[8:12] = (start * _SECTORS_PER_MIB).to_bytes(4, "little")
        entry[12:16] = (length * _SECTORS_PER_MIB).to_bytes(4, "little")
        sector[446 + 16 * number : 462 + 16 * number] = entry
    sector[510:] = b"\x55\xaa"
    return bytes(sector)


def _copy(source: Path, target: Path, offset_mib: int) -> None:
    with source.open("rb") as reader, target.open("r+b") as writer:
        position = offset_mib * MIB
        while block := reader.read(MIB):
            if block.strip(b"\0"):
                writer.seek(position)
                writer.write(block)
            position += len(block)


def _bootstate() -> ModuleType:
    if str(GUARD.parent) not in sys.path:
        sys.path.append(str(GUARD.parent))
    return importlib.import_module("guard.bootstate")

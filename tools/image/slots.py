"""A system slot: an ext4 file system without a journal, made from a directory without mounting anything."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from .places import EPOCH_S
from .programs import run_as_root

MIB: Final = 1024 * 1024
SLOT_MIB: Final = 192
_BLOCK_BYTES: Final = 4096
_UUID: Final = "67617465-6c69-6e6b-0000-000000000001"


def build(root: Path, target: Path) -> None:
    """Write the file system of ``root`` to ``target``; the same input gives the same bytes. Raises ImageError."""
    target.unlink(missing_ok=True)
    features = "^has_journal,^metadata_csum,^orphan_file,^64bit,^resize_inode"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-O", features, "-L", "gatelink"]
    argv += ["-U", _UUID, "-E", f"root_owner=0:0,hash_seed={_UUID},lazy_itable_init=0", "-d", str(root)]
    environment = {"E2FSPROGS_FAKE_TIME": str(EPOCH_S), "SOURCE_DATE_EPOCH": str(EPOCH_S)}
    run_as_root([*argv, target, f"{SLOT_MIB}m"], env=environment)
    _set_times(target)


def _set_times(image: Path) -> None:
    """Give every inode the same times of access and change: mke2fs copies the source's, which nobody can keep.

    Inodes have no checksums here (Linux, Documentation/filesystems/ext4: super block, group descriptors, inodes).
    """
    with image.open("r+b") as file:
        file.seek(1024)
        block = file.read(1024)
        (block_count,) = struct.unpack_from("<I", block, 4)
        blocks_per_group, inodes_per_group = struct.unpack_from("<I4xI", block, 32)
        (inode_bytes,) = struct.unpack_from("<H", block, 88)
        file.seek(_BLOCK_BYTES)
        descriptors = file.read(-(-block_count // blocks_per_group) * 32)
        for (table,) in struct.iter_unpack("<8xI20x", descriptors):
            file.seek(table * _BLOCK_BYTES)
            inodes = bytearray(file.read(inodes_per_group * inode_bytes))
            for place in range(0, len(inodes), inode_bytes):
                if inodes[place : place + 2] != b"\0\0":
                    struct.pack_into("<II", inodes, place + 8, EPOCH_S, EPOCH_S)
                    if inode_bytes > 128:
                        struct.pack_into("<I", inodes, place + 132, 0)
                        struct.pack_into("<I", inodes, place + 140, 0)
            file.seek(table * _BLOCK_BYTES)
            file.write(inodes)

"""A system slot: an ext4 file system without a journal, made from a directory without mounting anything."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .places import EPOCH_S
from .programs import run_as_root

MIB: Final = 1024 * 1024
SLOT_MIB: Final = 192
_UUID: Final = "67617465-6c69-6e6b-0000-000000000001"


def build(root: Path, target: Path) -> None:
    """Write the file system of ``root`` to ``target``; the same input gives the same bytes. Raises ImageError."""
    target.unlink(missing_ok=True)
    features = "^has_journal,^metadata_csum,^orphan_file,^64bit,^resize_inode"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-O", features, "-L", "gatelink"]
    argv += ["-U", _UUID, "-E", f"root_owner=0:0,hash_seed={_UUID},lazy_itable_init=0", "-d", str(root)]
    environment = {"E2FSPROGS_FAKE_TIME": str(EPOCH_S), "SOURCE_DATE_EPOCH": str(EPOCH_S)}
    run_as_root([*argv, target, f"{SLOT_MIB}m"], env=environment)

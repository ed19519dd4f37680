"""A gateway that is connected and good, kept in files: the next test goes on there, without the minutes of a boot.

It holds the GateManager's data as well, which knows this gateway. What it was made from is in its stamp; another image,
another GateManager's database or another emulated machine makes a new one. `GATELINK_QEMU_KEPT` names the directory.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from qemu.emulator import Emulator
from qemu.gateway import BUILD, CARD

DIRECTORY: Final = Path(os.environ.get("GATELINK_QEMU_KEPT") or BUILD / "connected")
_ROOT: Final = Path(__file__).resolve().parents[2]
_MIB: Final = 1 << 20


def stamp() -> str:
    """One hash over all that a kept machine depends on."""
    digest = hashlib.sha256()
    with CARD.open("rb") as card:
        while block := card.read(_MIB):
            digest.update(block)
    digest.update(inspect.getsource(Emulator.argv).encode())
    for path in sorted(_ROOT.glob("gm_server/gm_server/database/tables/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_there(wanted: str) -> bool:
    """Whether a machine of this stamp was kept."""
    path = DIRECTORY / "stamp"
    return path.exists() and path.read_text() == wanted


def forget() -> None:
    """What was kept is of no use any more."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)


def complete(value: str) -> None:
    """All of it is there."""
    (DIRECTORY / "stamp").write_text(value)


def copy_tree(source: Path, target: Path) -> None:
    """A directory with owners and dates; what was there goes."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", source, target], check=True)

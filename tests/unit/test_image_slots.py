"""A system slot of the same files has the same bytes, whenever it is made and whoever read the files before."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BUILD = """
import sys
from pathlib import Path
from image import slots
slots.SLOT_MIB = 8
slots.build(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def digest(root: Path, target: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    done = subprocess.run([sys.executable, "-c", _BUILD, root, target], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return hashlib.sha256(target.read_bytes()).hexdigest()


@pytest.mark.skipif(shutil.which("mke2fs", path="/sbin:/usr/sbin") is None, reason="mke2fs is missing")
def test_slot_has_the_same_bytes_when_its_files_were_touched(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr").mkdir(parents=True)
    for name in ("one", "two", "three"):
        (root / "usr" / name).write_text(name * 1000)
        os.utime(root / "usr" / name, (1, 1))
    (root / "usr/link").symlink_to("one")
    first = digest(root, tmp_path / "first.ext4")
    for name in ("one", "two"):
        os.utime(root / "usr" / name, (1_700_000_000, 1))
    (root / "usr/one").chmod(0o644)
    assert digest(root, tmp_path / "second.ext4") == first
    checked = subprocess.run(["/sbin/e2fsck", "-fn", tmp_path / "second.ext4"], capture_output=True)
    assert checked.returncode == 0, checked.stdout

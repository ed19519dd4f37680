"""Python packages of PyPI for the gateway's architecture: wheels with hashes, only unpacked."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Final

from .places import CACHE, WHEELS_LOCK
from .programs import run

PYTHON: Final = "3.13"
_PLATFORMS: Final = tuple(f"manylinux{name}_aarch64" for name in ("2014", "_2_17", "_2_28", "_2_34"))


def fetch() -> list[Path]:
    """Return the wheels of the lock; the cache is asked first. Raises ImageError."""
    directory = CACHE / "wheels"
    directory.mkdir(parents=True, exist_ok=True)
    stamp = directory / "complete"
    wanted = WHEELS_LOCK.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        for old in directory.glob("*.whl"):
            old.unlink()
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        argv += ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON]
        argv += [word for name in _PLATFORMS for word in ("--platform", name)]
        run([*argv, "--require-hashes", "--dest", directory, "-r", WHEELS_LOCK])
        stamp.write_text(wanted)
    return sorted(directory.glob("*.whl"))


def unpack(wheel: Path, directory: Path) -> None:
    """Unpack a wheel; scripts and data beside the package stay out."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".data/" not in name]
        archive.extractall(directory, names)

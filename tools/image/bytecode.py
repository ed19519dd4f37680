"""Byte code for the gateway's Python: compiled here, by Debian's Python of the same version for this machine.

A read-only root cannot keep byte code that is made later, and compiling each module at each start takes a gateway half
a minute.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from .exceptions import ImageError
from .places import EPOCH_S
from .programs import run

_LOADERS = {"x86_64": ("amd64", "x86_64-linux-gnu/ld-linux-x86-64.so.2")}


def host_architecture() -> str:
    """Return Debian's name of this machine's architecture. Raises ImageError where the image cannot be built."""
    machine = platform.machine()
    if machine not in _LOADERS:
        raise ImageError(f"the emulated image is built on x86_64; this machine is {machine}")
    return _LOADERS[machine][0]


def host_program(tools: Path, program: str) -> list[str]:
    """Return the beginning of a command line that runs a program of the unpacked packages with their own libraries."""
    loader = _LOADERS[platform.machine()][1]
    libraries = tools / "usr" / "lib" / Path(loader).parent
    return [str(tools / "usr" / "lib" / loader), "--library-path", str(libraries), str(tools / "usr" / "bin" / program)]


def compile_all(tools: Path, root: Path, directories: Sequence[Path]) -> None:
    """Compile every module below directories of ``root``; paths in tracebacks are the gateway's. Raises ImageError.

    The byte code is `unchecked`: the sources' dates do not matter, and are not looked at on a read-only root.
    """
    argv = [*host_program(tools, "python3.13"), "-S", "-m", "compileall", "-q"]
    argv += ["--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/", *map(str, directories)]
    environment = {"PYTHONHOME": str(tools / "usr"), "SOURCE_DATE_EPOCH": str(EPOCH_S), "PYTHONHASHSEED": "0"}
    run(argv, env=environment)

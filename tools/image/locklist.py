"""The list of Debian packages, each with version and hash: ``packages.lock``. It names no host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .exceptions import ImageError

_LINE: Final = re.compile(r"(\S+) (\S+) (\S+) (\S+) ([0-9a-f]{64})")
_HEAD: Final = """\
# Debian packages of the emulated gateway (role `target`), of its boot (`boot`), and of what builds it (`tool`).
# Written by `make image-lock`. Columns: role, architecture, package, version, SHA-256 of the package file.
"""


@dataclass(frozen=True, order=True, slots=True)
class Package:
    """One package file."""

    role: str
    architecture: str
    name: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """As apt names it in its cache."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.sha256[:12]}.deb"


def read(path: Path) -> list[Package]:
    """Return the packages of a list. Raises ImageError."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ImageError(f"{path}:{number}: expected role, architecture, package, version, SHA-256: {line!r}")
        found.append(Package(*match.groups()))
    return found


def write(path: Path, packages: Iterable[Package]) -> None:
    """Write the list."""
    rows = (f"{p.role} {p.architecture} {p.name} {p.version} {p.sha256}" for p in sorted(packages))
    path.write_text(_HEAD + "".join(f"{row}\n" for row in rows))

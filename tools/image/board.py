"""What a board's data files say."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .places import BOARDS


@dataclass(frozen=True, slots=True)
class DebianBoard:
    """``debian.toml`` of a board."""

    directory: Path
    target: tuple[str, ...]
    boot: tuple[str, ...]
    without: tuple[str, ...]
    remove: tuple[str, ...]
    host_tools: dict[str, tuple[str, ...]]
    """By the architecture of the machine that builds."""
    early_modules: tuple[str, ...]
    modules: tuple[str, ...]
    device_trees: tuple[str, ...]

    @property
    def compatible(self) -> str:
        """The name that an update must have to be taken by this board."""
        return self.facts["COMPATIBLE"]

    @property
    def facts(self) -> dict[str, str]:
        """The board's facts, as the init scripts have them."""
        rows = (self.directory / "board").read_text().splitlines()
        return dict(row.split("=", 1) for row in rows if "=" in row and not row.startswith("#"))


def load(name: str = "qemu/aarch64") -> DebianBoard:
    """Read a board."""
    directory = BOARDS / name
    data: dict[str, Any] = tomllib.loads((directory / "debian.toml").read_text())
    packages, kernel = data["packages"], data["kernel"]
    return DebianBoard(
        directory,
        tuple(packages["target"]),
        tuple(packages["boot"]),
        tuple(packages["without"]),
        tuple(packages["remove"]),
        {name: tuple(entry["packages"]) for name, entry in data["tools"].items()},
        tuple(kernel["early"]),
        tuple(kernel["modules"]),
        tuple(kernel["device_trees"]),
    )

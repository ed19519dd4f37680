"""What modules import, read from their text: the rings are checked without running anything."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Final

OUTSIDE: Final = frozenset(
    {"asyncio", "logging", "os", "pathlib", "random", "secrets", "shutil", "socket", "ssl", "subprocess", "threading"}
    | {"time"}
)
"""What a core may not import: it does no I/O and asks for no time."""


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports, and of each ``from`` import the names as if they were modules."""
    package = _package_of(path)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            beginning = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*beginning, node.module] if node.module else beginning)
            found.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
    return found


def among(names: Iterable[str], packages: Iterable[str]) -> set[str]:
    """Return the names that are one of the packages or lie in one."""
    roots = tuple(packages)
    return {name for name in names if any(name == root or name.startswith(f"{root}.") for root in roots)}


def _package_of(path: Path) -> list[str]:
    parts: list[str] = []
    folder = path.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return parts

"""The rings of the SiteManager: what decides touches nothing, adapters know no messages' flow, commands import late."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "firmware" / "sitemanager"
OUTSIDE = {
    "asyncio",
    "socket",
    "ssl",
    "time",
    "random",
    "os",
    "pathlib",
    "subprocess",
    "threading",
    "secrets",
    "shutil",
}
RINGS = ("sitemanager.core", "sitemanager.host", "sitemanager.services", "sitemanager.cli")


def _imports(path: Path) -> set[str]:
    package = ["sitemanager", *path.relative_to(PACKAGE).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            beginning = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*beginning, node.module] if node.module else beginning)
            found.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
    return found


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=lambda path: path.stem)
def test_core_touches_nothing(path: Path) -> None:
    imports = _imports(path)
    assert not {name for name in imports if name.partition(".")[0] in OUTSIDE}
    assert not {name for name in imports if name.startswith(("gatelink.link", "gatelink.tunnel.", "gatelink.files"))}


@pytest.mark.parametrize(("ring", "outer"), [("core", RINGS[1:]), ("host", RINGS[2:]), ("services", RINGS[3:])])
def test_arrows_point_inward(ring: str, outer: tuple[str, ...]) -> None:
    for path in (PACKAGE / ring).rglob("*.py"):
        assert not {name for name in _imports(path) if name.startswith(outer)}, path


@pytest.mark.parametrize("command", ["status", "lock"])
def test_small_commands_import_little_when_they_start(command: str, tmp_path: Path) -> None:
    """Importing is what costs time on a small gateway: neither asyncio nor cryptography for these."""
    argv = [sys.executable, "-X", "importtime", "-m", "sitemanager", command, "--runtime", str(tmp_path)]
    done = subprocess.run([*argv, "--state", str(tmp_path)], capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {name for name in imported if name.partition(".")[0] in {"asyncio", "ssl", "cryptography", "pyroute2"}}

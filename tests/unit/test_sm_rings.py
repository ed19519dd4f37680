"""The rings of the SiteManager: what decides touches nothing, adapters know no messages' flow, commands import late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from unit.imports import OUTSIDE, among, imports_of

PACKAGE = Path(__file__).parents[2] / "firmware" / "sitemanager"
RINGS = ("sitemanager.core", "sitemanager.host", "sitemanager.services", "sitemanager.cli")


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=lambda path: path.stem)
def test_core_touches_nothing(path: Path) -> None:
    # ``endpoints`` is the one module there that does no I/O.
    imports = imports_of(path) - {"gatelink.link"} - among(imports_of(path), ["gatelink.link.endpoints"])
    assert not among(imports, (*OUTSIDE, "gatelink.link", "gatelink.tunnel", "gatelink.files"))


@pytest.mark.parametrize(("ring", "outer"), [("core", RINGS[1:]), ("host", RINGS[2:]), ("services", RINGS[3:])])
def test_arrows_point_inward(ring: str, outer: tuple[str, ...]) -> None:
    for path in (PACKAGE / ring).rglob("*.py"):
        assert not among(imports_of(path), outer), path


@pytest.mark.parametrize("command", ["status", "lock"])
def test_small_commands_import_little_when_they_start(command: str, tmp_path: Path) -> None:
    """Importing is what costs time on a small gateway: neither asyncio nor cryptography for these."""
    argv = [sys.executable, "-X", "importtime", "-m", "sitemanager", command, "--runtime", str(tmp_path)]
    done = subprocess.run([*argv, "--state", str(tmp_path)], capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not among(imported, ("asyncio", "ssl", "cryptography", "pyroute2"))

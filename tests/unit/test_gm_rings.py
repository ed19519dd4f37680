"""The rings of the GateManager: what decides touches nothing, records know no sockets, nobody knows the commands."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "gm_server" / "gm_server"
CORE = (
    "names",
    "access.rights",
    "access.tickets",
    "access.tunnels",
    "access.live",
    "accounts.throttle",
    "frontdoor.places",
    "frontdoor.redirect",
)
OUTSIDE = (
    "asyncio",
    "socket",
    "ssl",
    "time",
    "random",
    "secrets",
    "os",
    "pathlib",
    "threading",
    "logging",
    "sqlalchemy",
)
RECORDS = ("access", "accounts", "appliances", "database", "migrations", "enrolment.claims", "enrolment.redeem")
SERVICES = ("service", "frontdoor", "local", "relay", "web", "enrolment.door")


def _imports(path: Path) -> set[str]:
    package = ".".join(path.relative_to(PACKAGE.parent).parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(f"{package}.{node.module}" if node.level else node.module or "")
    return found


def _modules(*names: str) -> list[Path]:
    found: list[Path] = []
    for name in names:
        path = PACKAGE.joinpath(*name.split("."))
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return found


def _inside(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("name", CORE)
def test_core_does_no_io_and_asks_for_no_time(name: str) -> None:
    [path] = _modules(name)
    allowed = ("gatelink", *(f"gm_server.{other}" for other in (*CORE, "config", "exceptions")))
    for imported in _imports(path):
        assert not _inside(imported, OUTSIDE), imported
        assert not _inside(imported, ("gatelink.link", "gatelink.tunnel")), imported
        assert not _inside(imported, ("gm_server",)) or _inside(imported, allowed), imported


@pytest.mark.parametrize("path", _modules(*RECORDS), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_records_know_nothing_of_services(path: Path) -> None:
    for imported in _imports(path):
        assert not _inside(imported, tuple(f"gm_server.{name}" for name in (*SERVICES, "cli"))), imported
        assert not _inside(imported, ("socket", "ssl")), imported


@pytest.mark.parametrize("path", _modules(*SERVICES), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_services_know_nothing_of_the_command_line(path: Path) -> None:
    for imported in _imports(path):
        assert not _inside(imported, ("gm_server.cli", "click")), imported

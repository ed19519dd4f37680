"""The rings of the GateManager: what decides touches nothing, records know no sockets, nobody knows the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.imports import OUTSIDE, among, imports_of

PACKAGE = Path(__file__).parents[2] / "gm_server" / "gm_server"
CORE = (
    "names",
    "access.actors",
    "access.rights",
    "access.tickets",
    "access.tunnels",
    "access.weeks",
    "access.live",
    "accounts.attempts",
    "accounts.methods",
    "accounts.recovery",
    "accounts.seals",
    "accounts.throttle",
    "accounts.totp",
    "texting.gsm7",
    "texting.numbers",
    "texting.pdu",
    "web.places",
    "frontdoor.places",
    "frontdoor.redirect",
)
RECORDS = (
    "access",
    "accounts",
    "acts",
    "appliances",
    "audit",
    "database",
    "migrations",
    "enrolment.claims",
    "enrolment.redeem",
)
SERVICES = ("api", "service", "frontdoor", "local", "relay", "web", "enrolment.door")


def _modules(*names: str) -> list[Path]:
    found: list[Path] = []
    for name in names:
        path = PACKAGE.joinpath(*name.split("."))
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return found


@pytest.mark.parametrize("name", CORE)
def test_core_does_no_io_and_asks_for_no_time(name: str) -> None:
    [path] = _modules(name)
    imports = imports_of(path)
    assert not among(imports, (*OUTSIDE, "sqlalchemy", "gatelink.link", "gatelink.tunnel"))
    ours = among(imports, ["gm_server"])
    assert ours == among(ours, (f"gm_server.{other}" for other in (*CORE, "config", "exceptions")))


@pytest.mark.parametrize("path", _modules(*RECORDS), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_records_know_nothing_of_services(path: Path) -> None:
    outer = (f"gm_server.{name}" for name in (*SERVICES, "cli"))
    assert not among(imports_of(path), (*outer, "socket", "ssl"))


@pytest.mark.parametrize("path", _modules(*SERVICES), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_services_know_nothing_of_the_command_line(path: Path) -> None:
    assert not among(imports_of(path), ("gm_server.cli", "click"))

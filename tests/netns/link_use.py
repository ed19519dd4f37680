"""The link as its people use it: a session, a poll of the PLC, what a party says of its connection."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import Place, wait_until
from lab.layout import GM_PORTS
from lab.products import APPLIANCE, GateManager, LinkManager, SiteManager

TESTS = Path(__file__).resolve().parent.parent


@contextmanager
def session(lm: LinkManager, target: str = APPLIANCE) -> Iterator[None]:
    """A session while inside; none is left."""
    lm.run("connect", target)
    try:
        yield
    finally:
        lm.run("disconnect", "--all")


def poll(place: Place, polls: int = 2) -> list[str]:
    """Poll the PLC at its own address with an ordinary Modbus client; the lines that it printed."""
    argv = [sys.executable, "-m", "lab.modbus_client", "--polls", str(polls), "--period", "0.05"]
    lines = place.run(argv, env={"PYTHONPATH": str(TESTS)}).stdout.splitlines()
    assert len(lines) == polls
    return lines


def appliance(gm: GateManager, path: str = APPLIANCE) -> dict[str, Any]:
    """What the GateManager says of an appliance."""
    (found,) = (row for row in gm.ask("appliances", "list") if row["path"] == path)
    return dict(found)


def wait_for_port(gm: GateManager, port: int, path: str = APPLIANCE) -> None:
    """Wait until the GateManager says that the appliance is connected by this port."""

    def is_there() -> bool:
        row = appliance(gm, path)
        return bool(row["online"]) and row["port"] == port

    wait_until(is_there, 30, f"gm to say that {path} uses port {port}")


def ports_in_use(place: Place) -> set[int]:
    """To which of the GateManager's ports this place has connections."""
    listed = place.run(["ss", "-Htn", "state", "established"]).stdout
    return {int(row.split()[3].rpartition(":")[2]) for row in listed.splitlines()}.intersection(GM_PORTS)


def restart(sm: SiteManager, **settings: object) -> None:
    """Start the SiteManager anew with these settings."""
    for key, value in settings.items():
        sm.run("config", "set", key, _toml(value))
    sm.kill9()
    sm.start()


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(content)}" for key, content in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)

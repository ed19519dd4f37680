"""What a gateway's processes load when they start: each megabyte is there for years, on every unit."""

from __future__ import annotations

import subprocess
import sys

_LOADED = "import sys; {}; print(*sys.modules)"


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh Python has after it."""
    argv = [sys.executable, "-P", "-c", _LOADED.format(statement)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.split())


def test_daemon_loads_nothing_that_makes_keys_when_it_starts() -> None:
    loaded = loaded_by("import sitemanager.services.daemon, sitemanager.host.network.linux")
    assert "sitemanager.services.sessions" in loaded
    assert not {"cryptography", "email", "starlette", "pymodbus", "pyroute2"} & loaded

"""Restarts the whole unit, by the program that the system has for it."""

from __future__ import annotations

import subprocess
from typing import Final

from sitemanager.exceptions import DaemonError

_PROGRAMS: Final = (("systemctl", "reboot"), ("reboot",))
TIMEOUT_S: Final = 10.0


def restart() -> None:
    """Begin a restart. Raises DaemonError where this user may not."""
    said = ""
    for argv in _PROGRAMS:
        try:
            done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            said = said or str(error)
            continue
        if done.returncode == 0:
            return
        said = " ".join(done.stderr.split())[:200] or said
    raise DaemonError(f"cannot restart the unit: {said or 'no program does it'}; pull its plug instead")

"""Starts a process that stays when this one ends: a session of its own, without a window, nobody's child."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any, Final

# <winbase.h>: CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP
_WINDOWS_FLAGS: Final = 0x08000000 | 0x00000200


def launch(argv: list[str], standard_input: socket.socket | None = None) -> subprocess.Popen[bytes]:
    """Start it with the socket as its standard input.

    On Windows a socket cannot be that: the new process reads there what makes one of it (``received_socket``).
    """
    detached: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        detached = {"creationflags": _WINDOWS_FLAGS}
    given: int = subprocess.DEVNULL
    if standard_input is not None:
        given = subprocess.PIPE if sys.platform == "win32" else standard_input.fileno()
    # A process without a window has no standard error to share; one that nobody waits for has nobody to tell.
    errors = subprocess.DEVNULL if sys.platform == "win32" or standard_input is None else None
    process = subprocess.Popen(argv, stdin=given, stdout=subprocess.DEVNULL, stderr=errors, cwd="/", **detached)
    if process.stdin is not None and standard_input is not None:
        share: Any = standard_input.share  # type: ignore[attr-defined]  # Windows alone has it
        with process.stdin as pipe:
            pipe.write(share(process.pid))
    return process


def received_socket(shared: bytes) -> socket.socket:
    """Return the socket that was shared with this process (Windows)."""
    fromshare: Any = socket.fromshare  # type: ignore[attr-defined]
    found: socket.socket = fromshare(shared)
    return found

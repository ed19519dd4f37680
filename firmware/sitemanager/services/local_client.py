"""The commands' end of the local socket. Without asyncio: ``sm status`` is to be there at once on a small gateway."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

import msgspec

from sitemanager.core.status import SOCKET_NAME, Answer, Failure, Request, Status
from sitemanager.exceptions import DaemonError

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
TIMEOUT_S: Final = 10.0


def ask(runtime: Path, request: Request) -> Status:
    """Ask the daemon. Raises DaemonError if it does not run, or does not answer."""
    path = runtime / SOCKET_NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            data = b""
            while not data.endswith(b"\n") and len(data) < MAX_ANSWER_BYTES:
                piece = connection.recv(65536)
                if not piece:
                    break
                data += piece
        except PermissionError:
            raise DaemonError(f"no right to use {path}; run sm as root or as the daemon's user") from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise DaemonError(f"the daemon does not run (nobody listens on {path}); start it with sm run") from None
        except OSError as error:
            raise DaemonError(f"the daemon does not answer on {path}: {error.strerror or error}") from None
    try:
        answer: Answer = msgspec.json.decode(data, type=Answer)
    except msgspec.DecodeError:
        raise DaemonError(f"the daemon gave no proper answer on {path}; do both have the same version?") from None
    if isinstance(answer, Failure):
        raise DaemonError(answer.text)
    return answer

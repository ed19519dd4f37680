"""The commands' end of the local socket. Without asyncio: ``sm status`` is to be there at once on a small gateway."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from sitemanager.core.local import MAX_ANSWER_BYTES, SOCKET_NAME, Failure, LocalAnswer, LocalRequest
from sitemanager.exceptions import DaemonError

TIMEOUT_S: Final = 15.0
A = TypeVar("A", bound=LocalAnswer)


def ask(runtime: Path, request: LocalRequest, kind: type[A], *, timeout_s: float = TIMEOUT_S) -> A:
    """Ask the daemon. Raises DaemonError if it does not run, does not answer, or could not do it."""
    path = runtime / SOCKET_NAME
    line = b'{"request":' + msgspec.json.encode(request) + b"}\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(line)
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
    return decode_answer(data, kind)


def decode_answer(data: bytes, kind: type[A]) -> A:
    """Return the answer in a line. Raises DaemonError for a failure and for what is no answer."""
    if not data:
        raise DaemonError("the daemon hung up: run sm as root or as the daemon's user")
    try:
        answer: A | Failure = msgspec.json.decode(data, type=kind | Failure)
    except msgspec.DecodeError:
        raise DaemonError("the daemon gave no proper answer; do both have the same version?") from None
    if isinstance(answer, Failure):
        raise DaemonError(answer.text)
    return answer

"""Asks the running server, from the command line."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from gatelink.exceptions import GatelinkError
from gatelink.frames import HEADER_BYTES
from gm_server.exceptions import NotRunning

from .messages import MAX_ANSWER_BYTES, Answer, Failed, Question, answers, encode

_TIMEOUT_S: Final = 10.0


@contextlib.contextmanager
def socket_path(directory: Path) -> Iterator[str]:
    """Give a name of ``directory``'s socket that is short enough for the kernel (107 bytes), however deep it lies."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/gm.sock"
    finally:
        os.close(descriptor)


def ask(directory: Path, question: Question, timeout_s: float = _TIMEOUT_S) -> Answer:
    """Return the server's answer; raises NotRunning if there is no server, GatelinkError if it says no."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            with socket_path(directory) as path:
                connection.connect(path)
            connection.sendall(encode(question))
            size_bytes = int.from_bytes(_read(connection, HEADER_BYTES), "big")
            if size_bytes > MAX_ANSWER_BYTES:
                raise GatelinkError("the running server gave an answer that is too long")
            answer = answers.decode(_read(connection, size_bytes))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning(f"`gm serve` does not run with {directory}") from None
        except (OSError, EOFError, msgspec.DecodeError) as error:
            raise GatelinkError(f"the running server does not answer: {error}") from None
    if isinstance(answer, Failed):
        raise GatelinkError(answer.text)
    return answer


def _read(connection: socket.socket, size_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < size_bytes:
        piece = connection.recv(min(1 << 16, size_bytes - len(data)))
        if not piece:
            raise EOFError("it closed the connection")
        data += piece
    return bytes(data)

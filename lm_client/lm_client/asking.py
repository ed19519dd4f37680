"""One question to the agent, and its answer."""

from __future__ import annotations

import contextlib
from typing import Protocol, TypeVar

import msgspec

from gatelink.exceptions import FrameError, InputError, Refused
from gatelink.frames import FrameReader
from lm_client.core.local import MAX_FRAME_BYTES, Answer, Failure, Request, decode_answer, frame
from lm_client.exceptions import AgentError
from lm_client.home import Home
from lm_client.streams import connect

_READ_BYTES = 256 * 1024
A = TypeVar("A", bound=Answer)


def ask(home: Home, request: Request, kind: type[A]) -> A:
    """Return the agent's answer; raises what it says went wrong, AgentError if nobody is logged in."""
    try:
        with contextlib.closing(connect(home.socket_path)) as connection:
            connection.sendall(frame(request))
            answer = receive(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        raise AgentError(f"not logged in: use `lm login`{last_words(home)}") from None
    except OSError as error:
        raise AgentError(f"the agent does not answer ({error.strerror}): `lm login` again") from None
    return expect(answer, kind)


class Readable(Protocol):
    """A stream or a socket."""

    def recv(self, size_bytes: int, /) -> bytes:
        """Wait for something; empty at the end."""


def receive(connection: Readable) -> Answer:
    """Return the one answer that comes over a stream; raises AgentError if it ends before."""
    reader = FrameReader(MAX_FRAME_BYTES)
    while data := connection.recv(_READ_BYTES):
        try:
            for payload in reader.receive_data(data):
                return decode_answer(payload)
        except (msgspec.MsgspecError, FrameError):
            raise AgentError("the agent is of another version: `lm logout`, then `lm login`") from None
    raise AgentError("the agent ended before it answered: look at agent.log, then `lm login` again")


def expect(answer: Answer, kind: type[A]) -> A:
    """Return the answer if it is of that kind; raises what a Failure says."""
    if isinstance(answer, kind):
        return answer
    if isinstance(answer, Failure):
        raise InputError(answer.text) if answer.kind == "input" else Refused("failed", answer.text)
    raise AgentError("the agent is of another version: `lm logout`, then `lm login`")


def last_words(home: Home) -> str:
    """Return why the last agent ended, if it did not end by itself."""
    try:
        lines = home.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    _, _, text = (lines[-1] if lines else "").partition(" ")
    return f" (the last agent {text})" if text.startswith("ended: ") else ""

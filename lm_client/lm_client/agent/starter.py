"""The other end of the login: who started the agent, over the socket that is its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from typing import Final

import msgspec

from gatelink.exceptions import FrameError, LinkError
from gatelink.frames import FrameReader
from gatelink.messages import LoginAnswer, LoginChallenge, LoginResend
from lm_client.core.local import Begin, Beginning, Challenge, Failure, GiveCode, LoggedIn, decode_beginning, frame
from lm_client.exceptions import AgentError

_READ_BYTES: Final = 4096
_MAX_WORD_BYTES: Final = 16 * 1024
_PASSWORD_TIMEOUT_S: Final = 30.0


class Starter:
    """Takes over descriptor 0; from then on standard input, output and error lead nowhere."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = _standard_input()
        self._reader = FrameReader(_MAX_WORD_BYTES)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)

    def password(self) -> str:
        """Return the first word, before any event loop runs. Raises AgentError."""
        if self._socket is None:
            raise AgentError("the login is over")
        self._socket.settimeout(_PASSWORD_TIMEOUT_S)
        payloads: list[bytes] = []
        while not payloads:
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise AgentError("whoever started the agent went away")
            payloads = self._reader.receive_data(data)
        self._socket.setblocking(False)
        word = _decode(payloads[0])
        if not isinstance(word, Begin):
            raise AgentError("expected a password first")
        return word.password

    def report(self, word: LoggedIn | Failure) -> None:
        """Say how it went, and hang up. May be called again: then it does nothing."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setblocking(True)
                self._socket.sendall(frame(word))
            self._socket.close()
            self._socket = None

    async def prompt(self, challenge: LoginChallenge) -> LoginAnswer | LoginResend:
        """Let the person type a code. Raises LinkError when nobody is there any more."""
        if self._socket is None:
            raise LinkError(f"the GateManager asks for a code again: `lm logout`, then `lm login` ({challenge.text})")
        loop = asyncio.get_running_loop()
        asked = Challenge(
            kinds=challenge.kinds,
            text=challenge.text,
            expires_s=challenge.expires_s,
            resend_after_s=challenge.resend_after_s,
            tries_left=challenge.tries_left,
        )
        try:
            await loop.sock_sendall(self._socket, frame(asked))
            payloads: list[bytes] = []
            while not payloads:
                data = await loop.sock_recv(self._socket, _READ_BYTES)
                if not data:
                    raise LinkError("the login was given up")
                payloads = self._reader.receive_data(data)
            word = _decode(payloads[0])
            if isinstance(word, GiveCode):
                return msgspec.convert({"type": "login-answer", "kind": word.kind, "code": word.code}, LoginAnswer)
        except OSError as error:
            raise LinkError(f"the login was given up ({error.strerror})") from None
        except (msgspec.MsgspecError, FrameError, AgentError):
            raise LinkError("that is no code that the GateManager could take: begin again") from None
        return LoginResend()


def _standard_input() -> socket.socket:
    if sys.platform == "win32":
        from lm_client.launching import received_socket

        return received_socket(sys.stdin.buffer.read())
    return socket.socket(fileno=os.dup(0))


def _decode(payload: bytes) -> Beginning:
    try:
        return decode_beginning(payload)
    except msgspec.MsgspecError:
        raise AgentError("who started the agent is of another version: install one version") from None

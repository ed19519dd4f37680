"""Starts the agent and leads its login: the password, then codes for as long as the GateManager asks for one.

The agent is a session of its own and nobody's child afterwards. What is said goes over one socket, which is the agent's
standard input; closing it before the login is done ends the agent.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from types import TracebackType
from typing import Final

from lm_client.asking import receive
from lm_client.core.local import Begin, Beginning, Challenge, Failure, GiveCode, LoggedIn, SendAgain, frame
from lm_client.exceptions import AgentError
from lm_client.home import Home
from lm_client.launching import launch

ANSWER_TIMEOUT_S: Final = 120.0
"""Above every bound that the agent itself has on the way to a login."""
Reply = LoggedIn | Challenge | Failure


class Starting:
    """One attempt to log in. Every method blocks and may raise AgentError, and then the attempt is over."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Starting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, password: str) -> Reply:
        """Start the agent with the password."""
        self._home.ensure()
        argv = [sys.executable, "-m", "lm_client.agent", str(self._home.path)]
        ours, theirs = socket.socketpair()
        with theirs:
            self._socket = ours
            ours.settimeout(ANSWER_TIMEOUT_S)
            self._process = launch(argv, theirs)
        return self._say(Begin(password=password))

    def give(self, kind: str, code: str) -> Reply:
        """Answer a challenge."""
        return self._say(GiveCode(kind=kind, code=code))

    def send_again(self) -> Reply:
        """Ask for another SMS."""
        return self._say(SendAgain())

    def close(self) -> None:
        """Let go: an agent that is logged in stays, another one ends. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.wait(ANSWER_TIMEOUT_S)
            self._process = None

    def _say(self, word: Beginning) -> Reply:
        if self._socket is None:
            raise AgentError("the login is over: begin again")
        try:
            self._socket.sendall(frame(word))
            answer = receive(self._socket)
        except (AgentError, OSError):
            self.close()
            raise AgentError(f"the agent could not be started; look at {self._home.log_path}") from None
        if isinstance(answer, LoggedIn) and self._process is not None:
            self._process.returncode = 0  # it stays, and is nobody's child when this program ends
            self._process = None
        if not isinstance(answer, LoggedIn | Challenge | Failure):
            raise AgentError("the agent is of another version: `lm logout`, then `lm login`")
        if not isinstance(answer, Challenge):
            self.close()
        return answer

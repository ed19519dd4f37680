"""A man in the middle on a firewall: takes the connections meant for the GM and answers TLS with a test's certificate.

`MitmRelay` is for tests; the program that it starts is `lab.mitm_program`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from lab.exceptions import LabError
from lab.lab import Lab
from lab.processes import Process

_DEADLINE_S = 10.0


@dataclass(slots=True)
class Conversation:
    """What one connection came to. `received` is every application byte of the client, `answered` of the GM."""

    target: str = ""
    server_name: str | None = None
    offered: list[str] = field(default_factory=list)
    alpn: str | None = None
    handshake_done: bool = False
    certificate: bytes = b""
    """The client's (DER); only asked for where the relay has `authorities`."""
    received: bytes = b""
    answered: bytes = b""
    ended: str | None = None


class MitmRelay:
    """`with MitmRelay(lab, "factory", certificate, key) as mitm:` leads new connections to the GM astray while inside.

    It agrees to whatever ALPN the client offers first. With `forward` it speaks TLS with the real GM as well and hands
    on the bytes, both ways; without, it only listens. With `authorities` (a file) it asks clients for a certificate of
    theirs; `greeting` is what it says to every client by itself. Connections that existed before go on undisturbed.
    """

    def __init__(
        self,
        lab: Lab,
        firewall: str,
        certificate: Path,
        key: Path,
        *,
        port: int = 8443,
        forward: bool = False,
        authorities: Path | None = None,
        greeting: bytes = b"",
    ) -> None:
        self._firewall = lab.firewall(firewall)
        self._place = lab.place(firewall)
        self._arguments = [str(port), str(certificate), str(key), *(["--forward"] if forward else [])]
        self._arguments += ["--authorities", str(authorities)] if authorities else []
        self._arguments += ["--greeting", greeting.hex()] if greeting else []
        self._port = port
        self._process: Process | None = None

    def __enter__(self) -> MitmRelay:
        self._process = self._place.start_module("lab.mitm_program", *self._arguments)
        self._process.wait_for_line("listens")
        self._firewall.lead_astray(self._port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._firewall.lead_straight()
        if self._process is not None:
            self._process.terminate()

    def wait_for_conversation(self, number: int = 1, deadline_s: float = _DEADLINE_S) -> Conversation:
        """The `number`th conversation (from 1), after it has ended. Raises TimedOut."""
        self._running.wait_for_line(rf'^{{"conversation":{number},"event":"ended"', deadline_s)
        return self.conversations()[number - 1]

    def conversations(self) -> list[Conversation]:
        """All of them so far, in the order in which they began."""
        found: dict[int, Conversation] = {}
        for line in list(self._running.lines):
            if line.startswith("{"):
                event: dict[str, Any] = msgspec.json.decode(line)
                _note(found.setdefault(event["conversation"], Conversation()), event)
        return list(found.values())

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise LabError("the man in the middle is not there yet; use it in a with statement")
        return self._process


def _note(conversation: Conversation, event: dict[str, Any]) -> None:
    match event["event"]:
        case "hello":
            conversation.target = event["target"]
            conversation.server_name = event["server_name"]
            conversation.offered = event["offered"]
        case "handshake":
            conversation.alpn = event["alpn"]
            conversation.handshake_done = True
            conversation.certificate = bytes.fromhex(event["certificate"])
        case "received":
            conversation.received += bytes.fromhex(event["data"])
        case "answered":
            conversation.answered += bytes.fromhex(event["data"])
        case "ended":
            conversation.ended = event["why"]

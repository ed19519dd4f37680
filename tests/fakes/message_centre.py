"""A message centre that speaks SMPP 3.4 on loopback, by the specification's tables: binds, takes messages, says no."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading

HEADER = struct.Struct(">IIII")
BIND, BIND_ANSWER = 0x00000002, 0x80000002
SUBMIT, SUBMIT_ANSWER = 0x00000004, 0x80000004
UNBIND, UNBIND_ANSWER = 0x00000006, 0x80000006
ENQUIRE = 0x00000015


class MessageCentre:
    """Serves one connection after the other until closed; ``status`` is its answer to messages.

    With ``context`` it speaks TLS. ``dies`` closes a connection instead of the answer to its first message.
    """

    def __init__(
        self,
        system_id: str,
        password: str,
        status: int = 0,
        *,
        context: ssl.SSLContext | None = None,
        dies: bool = False,
    ) -> None:
        self.taken: list[tuple[str, str, int, bytes]] = []
        """Sender, recipient, data coding, text."""
        self.status = status
        self.bound = 0
        """How often somebody told it name and password."""
        self._context = context
        self._dies = dies
        self._credentials = (system_id, password)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MessageCentre:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                if self._context is None:
                    self._serve(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as secured:
                        self._serve(secured)

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while len(head := stream.read(16)) == 16:
                length, command, _, sequence = HEADER.unpack(head)
                body = stream.read(length - 16)
                if self._dies and command == SUBMIT:
                    return
                connection.sendall(self._answer(command, sequence, body))

    def _answer(self, command: int, sequence: int, body: bytes) -> bytes:
        if command == BIND:
            self.bound += 1
            system_id, password, _ = body.split(b"\0", 2)
            good = (system_id.decode(), password.decode()) == self._credentials
            # ESME_RINVPASWD
            return _pdu(BIND_ANSWER, 0 if good else 0x0E, sequence, b"centre\0")
        if command == SUBMIT:
            if not self.status:
                self.taken.append(_read_submit(body))
            enquire = _pdu(ENQUIRE, 0, 7, b"")
            return enquire + _pdu(SUBMIT_ANSWER, self.status, sequence, b"id-1\0" if not self.status else b"")
        if command == UNBIND:
            return _pdu(UNBIND_ANSWER, 0, sequence, b"")
        return b""


def _pdu(command: int, status: int, sequence: int, body: bytes) -> bytes:
    return HEADER.pack(16 + len(body), command, status, sequence) + body


def _read_submit(body: bytes) -> tuple[str, str, int, bytes]:
    """Read submit_sm (SMPP 3.4 section 4.4.1)."""
    _, rest = body.split(b"\0", 1)
    sender, rest = rest[2:].split(b"\0", 1)
    recipient, rest = rest[2:].split(b"\0", 1)
    rest = rest[3:]
    _, rest = rest.split(b"\0", 1)
    _, rest = rest.split(b"\0", 1)
    coding, length = rest[2], rest[4]
    return sender.decode(), recipient.decode(), coding, rest[5 : 5 + length]

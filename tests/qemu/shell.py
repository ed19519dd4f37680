"""A root shell inside of the emulated gateway, on a console that only images for development have."""

from __future__ import annotations

import itertools
import re
import socket
import time
from pathlib import Path
from typing import Final

from lab.exceptions import CommandFailed, TimedOut

_PIECE_BYTES: Final = 65536


class Shell:
    """Commands one after the other. What they print comes back; everything is in the console's log as well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._socket: socket.socket | None = None

    def run(self, command: str, *, deadline_s: float = 300.0, check: bool = True) -> str:
        """Run a command; what it printed. Raises CommandFailed, TimedOut."""
        number = next(self._numbers)
        # The quotes keep the echo of the command from looking like its end.
        script = f"echo beg''in {number}\n{command}\necho en''d {number} $?\n"
        text = self._ask(script, rf"end {number} (\d+)\r?\n", deadline_s)
        match = re.search(rf"begin {number}\r?\n(.*?)\r?\n?end {number} (\d+)\r?\n", text, re.DOTALL)
        assert match is not None
        said = match[1].replace("\r", "").strip("\n")
        if check and match[2] != "0":
            raise CommandFailed(f"`{command}` in the gateway ended with status {match[2]}: {said[-500:]}")
        return said

    def wait_until_there(self, deadline_s: float) -> None:
        """Wait until a shell answers; from then on nothing is echoed."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                self._ask("stty -echo; PS1=; PS2=\necho rea''dy\n", r"ready\r?\n", 15.0)
            except (TimedOut, ConnectionRefusedError, FileNotFoundError):
                # The last two: the emulator has only just been started.
                if time.monotonic() > end:
                    raise TimedOut(f"no shell in the gateway within {deadline_s:g} s") from None
                self.close()
                time.sleep(0.2)
            else:
                self._drain()
                return

    def close(self) -> None:
        """Forget the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, text: str, wanted: str, deadline_s: float) -> str:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(str(self._path))
        self._socket.sendall(text.encode())
        end = time.monotonic() + deadline_s
        got = ""
        while not re.search(wanted, got):
            left = end - time.monotonic()
            if left <= 0:
                raise TimedOut(
                    f"the gateway's shell did not say {wanted!r} within {deadline_s:g} s; it said {got[-300:]!r}"
                )
            self._socket.settimeout(left)
            try:
                piece = self._socket.recv(_PIECE_BYTES)
            except TimeoutError:
                continue
            if not piece:
                raise CommandFailed("the emulator closed the gateway's shell")
            got += piece.decode(errors="replace")
        return got

    def _drain(self) -> None:
        assert self._socket is not None
        self._socket.settimeout(0.3)
        try:
            while self._socket.recv(_PIECE_BYTES):
                pass
        except TimeoutError:
            return

"""QEMU's monitor (QMP): a machine is halted, kept in a file, and goes on later, in this emulator or in another one."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.exceptions import CommandFailed, TimedOut

_DEADLINE_S = 300.0


class Monitor:
    """A connection to the monitor's socket, for a few commands. Raises CommandFailed, TimedOut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_DEADLINE_S)

    def __enter__(self) -> Monitor:
        end = time.monotonic() + _DEADLINE_S
        while True:
            try:
                self._socket.connect(str(self._path))
                break
            except OSError:
                if time.monotonic() > end:
                    raise TimedOut(f"no monitor at {self._path}") from None
                time.sleep(0.05)
        self._reader = self._socket.makefile("rb")
        self._reader.readline()
        self.run("qmp_capabilities")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        self._socket.close()

    def run(self, command: str, **arguments: object) -> Any:
        """One command; what it returns."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while row := self._reader.readline():
            answer = json.loads(row)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise CommandFailed(f"the emulator refused {command}: {answer['error']['desc']}")
        raise CommandFailed(f"the emulator ended at {command}")

    def wait_for_state(self, wanted: str) -> None:
        """Wait until the machine is in this state (`paused`, `postmigrate`, ...)."""
        end = time.monotonic() + _DEADLINE_S
        while (found := self.run("query-status")["status"]) != wanted:
            if time.monotonic() > end:
                raise TimedOut(f"the emulated machine is {found}, not {wanted}")
            time.sleep(0.05)

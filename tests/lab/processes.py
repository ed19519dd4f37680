"""A program that runs in a place, with everything it says kept in a file and waited for by events, not by polling."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.exceptions import CommandFailed, TimedOut

_TAIL_LINES = 8


class Process:
    """A started program. It is made by `Place.start` and ended, at the latest, with the lab."""

    def __init__(
        self, name: str, argv: Sequence[str], log_path: Path, env: Mapping[str, str], stdin_text: str | None = None
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.lines: list[str] = []
        """What it said so far on standard output and standard error, without line ends."""
        self._news = threading.Condition()
        self._over = False
        self._popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin_text is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"log of {name}", daemon=True)
        self._reader.start()
        if stdin_text is not None and self._popen.stdin is not None:
            self._popen.stdin.write(stdin_text.encode())
            self._popen.stdin.close()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; below 0 if a signal ended it."""
        return self._popen.poll()

    @property
    def log(self) -> str:
        """Everything it said so far."""
        return "\n".join(self.lines)

    def wait_for_line(self, pattern: str, deadline_s: float = 10.0, *, after: int = 0) -> re.Match[str]:
        """The first line, from line number `after` on, in which `pattern` (a regular expression) is found.

        Raises TimedOut at the deadline, CommandFailed as soon as the program ended without having said it.
        """
        wanted = re.compile(pattern)
        end = time.monotonic() + deadline_s
        with self._news:
            while True:
                for line in self.lines[after:]:
                    if match := wanted.search(line):
                        return match
                after = max(after, len(self.lines))
                if self._over:
                    code = self._popen.wait()
                    raise CommandFailed(f"{self.name} ended ({code}) without saying {pattern!r}; {self._tail()}")
                if not self._news.wait(end - time.monotonic()):
                    raise TimedOut(f"{self.name} did not say {pattern!r} within {deadline_s:g} s; {self._tail()}")

    def wait(self, deadline_s: float = 10.0) -> int:
        """Wait until it ends by itself; its status. Raises TimedOut."""
        try:
            code = self._popen.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"{self.name} did not end within {deadline_s:g} s; {self._tail()}") from None
        self._reader.join(deadline_s)
        return code

    def terminate(self, deadline_s: float = 5.0) -> int:
        """Ask it to end (SIGTERM) and wait; its status. Raises TimedOut, and then it was killed."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(deadline_s)
        except TimedOut:
            self.kill9()
            raise

    def kill9(self) -> None:
        """End it at once, as a crash would (SIGKILL)."""
        self.signal(signal.SIGKILL)
        self._popen.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended already."""
        self._popen.send_signal(number)

    def forget(self) -> None:
        """Collect the ended program and close its log. Only after nothing is left that could write to it."""
        self._popen.wait()
        self._reader.join()

    def _read(self) -> None:
        stream = self._popen.stdout
        if stream is None:
            return
        with stream, self.log_path.open("ab", buffering=0) as log:
            for raw in stream:
                log.write(raw)
                with self._news:
                    self.lines.append(raw.decode(errors="replace").rstrip("\r\n"))
                    self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def _tail(self) -> str:
        if not self.lines:
            return "it said nothing"
        return "its last lines: " + " | ".join(self.lines[-_TAIL_LINES:])

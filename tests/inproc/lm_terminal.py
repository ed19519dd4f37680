"""The command `lm` on a terminal of its own, as a person uses it: what it asks is answered."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

DEADLINE_S = 120.0
Answers = Sequence[tuple[str, Callable[[], str]]]


def lm(home: Path, *arguments: str, answers: Answers = ()) -> tuple[int, str]:
    """Run a command line; each answer is typed when its text has appeared. Return exit status and what was shown."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "GATELINK_LM_HOME": str(home), "TERM": "dumb"}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "lm_client.cli", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
            cwd=home,
        )
    finally:
        os.close(theirs)
    try:
        return _converse(process, ours, list(answers))
    finally:
        os.close(ours)


def _converse(
    process: subprocess.Popen[bytes], terminal: int, answers: list[tuple[str, Callable[[], str]]]
) -> tuple[int, str]:
    shown, seen = "", 0
    deadline = time.monotonic() + DEADLINE_S
    while True:
        ended = process.poll() is not None
        readable, _, _ = select.select([terminal], [], [], 0.05)
        if readable:
            try:
                shown += os.read(terminal, 4096).decode()
            except OSError:
                return process.wait(DEADLINE_S), shown
        elif ended:
            return process.returncode, shown
        if answers and answers[0][0] in shown[seen:]:
            seen = len(shown)
            os.write(terminal, answers.pop(0)[1]().encode() + b"\n")
        assert time.monotonic() < deadline, shown

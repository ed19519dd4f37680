"""Starting and ending the program that delays a line (`lab/delay.py`), also from another terminal than the lab's."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.exceptions import LabError
from lab.layout import LineSpec
from lab.states import load, save

_PROGRAM = Path(__file__).with_name("delay.py")
_START_S = 5.0


@dataclass(frozen=True, slots=True)
class _Running:
    pid: int = 0
    delay_ms: float = 0.0


class Delayer:
    """The delaying program of one line; it lives in the namespace where the line's wires meet."""

    def __init__(self, namespace: str, spec: LineSpec, run_directory: Path) -> None:
        self._namespace = namespace
        self._wires = (spec.wire("a"), spec.wire("b"))
        self._state = run_directory / f"{spec.name}.delay.json"
        self._started: list[subprocess.Popen[bytes]] = []
        self._log = run_directory / "logs" / f"{spec.name}.delay.log"

    def start(self, delay_ms: float) -> None:
        """Take over the line with this delay; returns when it is in effect. Nothing happens if it is already."""
        running = load(self._state, _Running, _Running())
        if running.delay_ms == delay_ms and _is_running(running.pid):
            return
        ready, says_ready = os.pipe()
        program = [sys.executable, "-I", "-S", str(_PROGRAM), *self._wires, str(delay_ms), str(says_ready)]
        try:
            self._log.parent.mkdir(exist_ok=True)
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    ["ip", "netns", "exec", self._namespace, *program],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(says_ready,),
                    start_new_session=True,
                )
        except OSError as error:
            os.close(ready)
            raise LabError(f"cannot start the delaying program: {error}") from None
        finally:
            os.close(says_ready)
        with os.fdopen(ready, "rb") as pipe:
            if not select.select([pipe], [], [], _START_S)[0] or not pipe.read(1):
                raise LabError(f"the delaying program of {'/'.join(self._wires)} did not start; see {self._log}")
        self._started.append(process)
        _ask_to_end(running.pid)
        save(self._state, _Running(process.pid, delay_ms))

    def stop(self) -> None:
        """Let it hand out what it still holds, each frame at its time, and end."""
        _ask_to_end(load(self._state, _Running, _Running()).pid)
        self._state.unlink(missing_ok=True)

    def forget(self) -> None:
        """Collect what was started here, after everything in the lab was ended."""
        for process in self._started:
            process.wait()


def _is_running(pid: int) -> bool:
    """Whether this pid is a delaying program still, and not by now something else."""
    try:
        return _PROGRAM.name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _ask_to_end(pid: int) -> None:
    if pid and _is_running(pid):
        os.kill(pid, signal.SIGTERM)

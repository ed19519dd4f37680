"""The SM's network under test: a site whose sessions a test sets, and PCs that try what they may and may not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gatelink.messages import DeviceAccess, Service
from lab import Lab, Place, Process
from sitemanager.core.desired import DesiredState, SessionNetwork, connection_mark

TESTS = Path(__file__).resolve().parent.parent
PLC_ADDRESS = "192.168.50.10"
MODBUS = Service("modbus", "tcp", 502, 502)
ECHO = Service("ping", "icmp")
SNMP = Service("snmp", "udp", 161, 161)
ROUTES = ("192.168.50.0/24", "10.20.1.0/24", "203.0.113.0/24", "100.64.0.0/16")
"""Everything that a hostile PC would send into its tunnel."""


def device(*services: Service, address: str = PLC_ADDRESS) -> DeviceAccess:
    """A granted device."""
    return DeviceAccess(f"d-{address}", address, address, services)


def session(number: int, *devices: DeviceAccess, user: bytes = b"anna") -> SessionNetwork:
    """Session ``number`` of a user: adapter ``gls<number>``, tunnel 100.64.<number>.0/30."""
    pc, gateway = f"100.64.{number}.2", f"100.64.{number}.1"
    return SessionNetwork(f"gls{number}", pc, gateway, 30, devices, connection_mark(user, pc))


class Ground:
    """The program in the site's namespace, told what to apply."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.runtime = directory / "run"
        self.runtime.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start the program (again)."""
        argv = [sys.executable, "-m", "netns.sm_wire", "site", str(self.runtime), str(self.directory)]
        self._program = subprocess.Popen(
            self.lab.site.argv(argv), cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def apply(self, *sessions: SessionNetwork, dev: tuple[str, ...] = ("eth1",)) -> None:
        """Put exactly these sessions in force."""
        self._tell(DesiredState(sessions, dev))

    def clean_up(self) -> None:
        """Remove everything."""
        self._tell(None)

    def kill9(self) -> None:
        """Crash it."""
        self._program.kill()
        self._close()

    def end(self) -> None:
        """End it in good order; nothing is removed by that alone but the adapters."""
        self._program.terminate()
        self._close()

    def pc(self, place: Place, number: int) -> Process:
        """The far end of session ``number`` in a place."""
        return start_pc(place, number, self.directory)

    def nft(self) -> str:
        """All rules in the site."""
        return self.lab.site.run(["nft", "list", "ruleset"]).stdout

    def _tell(self, desired: DesiredState | None) -> None:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(msgspec.json.encode(desired).decode() + "\n")
        self._program.stdin.flush()
        watchdog = threading.Timer(20.0, self._program.kill)
        watchdog.start()
        answer = self._program.stdout.readline().strip()
        watchdog.cancel()
        assert answer == "done", answer

    def _close(self) -> None:
        self._program.communicate()


def start_pc(place: Place, number: int, directory: Path) -> Process:
    """A PC whose adapter ``gl<number>`` is the far end of session ``number``."""
    argv = [sys.executable, "-m", "netns.sm_wire", "pc", f"gl{number}", f"100.64.{number}.2", f"100.64.{number}.1"]
    program = place.start(
        [*argv, str(directory / f"gls{number}"), *ROUTES], name=f"pc{number}", env={"PYTHONPATH": str(TESTS)}
    )
    program.wait_for_line("pc ready")
    return program


@contextmanager
def ground(lab: Lab, directory: Path) -> Iterator[Ground]:
    """A ground that leaves the site as it was."""
    found = Ground(lab, directory)
    try:
        yield found
    finally:
        found.end()
        found.start()
        found.clean_up()
        found.end()

"""``lm service`` on Windows: the same listener as on Linux, over a named pipe, run by the service control manager."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lm_client.exceptions import HostError
from lm_client.journal import Journal
from lm_client.service.listener import Listener

from .callers import WindowsCallers
from .dlls import load
from .names import WindowsNames
from .network import WindowsAdapter, WindowsNetwork
from .registry import LocalMachine
from .scm import WindowsService

NAME: Final = "gatelink-lm"
LOG: Final = "service.log"
_TELL_TIMEOUT_S: Final = 10.0


def run(path: Path, sids: tuple[str, ...], say: Callable[[str], None], *, clean_up: bool) -> None:
    """Serve until the SCM (or Ctrl-C, if a person typed the command) says stop. Raises GatelinkError."""
    say = with_log(Path(sys.executable), say) if getattr(sys, "frozen", False) else say
    network = WindowsNetwork(load("iphlpapi"), load("kernel32"), LocalMachine())
    names = WindowsNames(LocalMachine(), _tell_dns_client)
    if clean_up:
        for left in (*network.clean_up(), *names.clean_up()):
            say(f"removed {left}")
        return
    stopping = threading.Event()

    def serve(is_up: Callable[[], None]) -> None:
        listener: Listener[WindowsAdapter] = Listener(path, network, names, WindowsCallers(sids), say)
        listening = threading.Thread(target=listener.run, daemon=True)
        try:
            listening.start()
            is_up()
            while not stopping.wait(1.0) and listening.is_alive():
                pass
        finally:
            listener.close()
            listening.join()

    service = WindowsService(load("advapi32"), load("kernel32"), NAME, serve, stopping.set)
    if not service.dispatch():
        serve(lambda: None)
    if service.failure is not None:
        say(f"ended: {service.failure}")
        raise HostError(f"the service ended: {service.failure}")


def with_log(program: Path, say: Callable[[str], None]) -> Callable[[str], None]:
    """Return a ``say`` that also writes ``service.log`` beside the program: who started the service has no console.

    There only administrators and the system may write; in ``ProgramData`` anybody could lay a link in its place.
    """
    try:
        journal = Journal(program.with_name(LOG))
    except OSError as error:
        say(f"no log: {error.strerror}")
        return say

    def both(text: str) -> None:
        journal.note(text)
        say(text)

    return both


def _tell_dns_client() -> None:
    """Let Dnscache read its rules anew (SERVICE_CONTROL_PARAMCHANGE)."""
    flags = 0x08000000 if sys.platform == "win32" else 0  # CREATE_NO_WINDOW
    argv = ["sc.exe", "control", "dnscache", "paramchange"]
    try:
        subprocess.run(argv, capture_output=True, timeout=_TELL_TIMEOUT_S, check=False, creationflags=flags)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"cannot tell the DNS client of the names: {error}") from None

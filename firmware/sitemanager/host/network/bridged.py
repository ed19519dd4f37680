"""Bridged sessions at the host: their rules, and a machine-side port that hears frames for other MACs than its own.

A hook needs its device, so an adapter is made first, still down; then the rules are loaded, then it is switched on. A
port that was not promiscuous before is so only while a bridged session runs; a file says so to the next run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gatelink.files import write_atomically
from sitemanager.core.admission import HostNetwork
from sitemanager.core.bridged_rules import TABLE, bridged_ruleset
from sitemanager.core.desired import SessionNetwork
from sitemanager.exceptions import NetworkError

from . import programs

_FILE_NAME: Final = "promiscuous"


class Bridged:
    """The netdev table and the port."""

    def __init__(self, runtime: Path) -> None:
        self._path = runtime / _FILE_NAME
        self._text = ""
        self._loaded = ""

    def apply(
        self,
        sessions: Sequence[SessionNetwork],
        dev_interfaces: Sequence[str],
        networks: Callable[[], Sequence[HostNetwork]],
    ) -> None:
        """Let exactly these sessions be at the first machine-side port. Raises NetworkError."""
        if not sessions or not dev_interfaces:
            self.clean_up()
            return
        port = dev_interfaces[0]
        own = [known.address for known in networks() if known.interface == port and known.address is not None]
        text = bridged_ruleset(sessions, port, own)
        if text != self._text:
            programs.nft(text)
            self._text, self._loaded = text, programs.nft_list(TABLE)
        self._listen(port)
        programs.ip([f"link set dev {session.interface} up" for session in sessions])

    def verify(self) -> list[str]:
        """Put the rules back if somebody changed them. Raises NetworkError."""
        if not self._text or programs.nft_list(TABLE) == self._loaded:
            return []
        programs.nft(self._text)
        self._loaded = programs.nft_list(TABLE)
        return ["somebody changed or removed the rules of the bridged sessions; they are loaded again"]

    def clean_up(self) -> None:
        """Remove everything, whoever left it. Raises NetworkError."""
        if self._text or programs.nft_list(TABLE):
            programs.nft(bridged_ruleset((), "", ()))
        self._text = self._loaded = ""
        try:
            port = self._path.read_text("ascii").strip()
        except FileNotFoundError:
            return
        except OSError as error:
            raise NetworkError(f"cannot read {self._path}: {error.strerror}") from None
        with contextlib.suppress(NetworkError):  # the port may be gone
            programs.ip([f"link set dev {port} promisc off"])
        self._path.unlink(missing_ok=True)

    def _listen(self, port: str) -> None:
        if self._path.exists():
            return
        (link,) = programs.ask_ip("link", "show", "dev", port)
        if "PROMISC" in link.get("flags", ()):
            return
        try:
            write_atomically(self._path, f"{port}\n".encode())
        except OSError as error:
            raise NetworkError(f"cannot write {self._path}: {error.strerror}") from None
        programs.ip([f"link set dev {port} promisc on"])

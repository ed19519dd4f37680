"""Modems by ModemManager's command ``mmcli``, where it is there: argument vectors, answers in JSON."""

from __future__ import annotations

from typing import Final, Protocol

from sitemanager.core.modem import Bearer, Modem, bearer_in, modem_in, modem_paths
from sitemanager.exceptions import NetworkError

from .network import programs

CONNECT_S: Final = 90
"""Networks take their time to let a modem in."""


class ModemHost(Protocol):
    """What the service asks of the host; every call may block."""

    def find(self, interface: str) -> Modem | None:
        """Return the modem that has this network interface; the only one there is, if it tells of none."""

    def bearer(self, modem: Modem) -> Bearer | None:
        """Return its connection, if there is one."""

    def connect(self, modem: Modem, settings: dict[str, str]) -> None:
        """Unlock, register and connect it (``apn``, ``pin``, ``user``, ``password``). Raises NetworkError."""


class LinuxModem:
    """See ``ModemHost``."""

    def find(self, interface: str) -> Modem | None:
        """See ``ModemHost``. Raises NetworkError if ModemManager is not there."""
        try:
            paths = modem_paths(_mmcli("-L"))
        except NetworkError as error:
            reason = str(error).rpartition("error: ")[2]
            raise NetworkError(f"ModemManager does not run on this unit, or may not be asked: {reason}") from None
        modems = [modem_in(_mmcli("-m", path), path) for path in paths]
        named = [modem for modem in modems if interface in modem.interfaces]
        if not named and len(modems) == 1 and not modems[0].interfaces:
            return modems[0]
        return next(iter(named), None)

    def bearer(self, modem: Modem) -> Bearer | None:
        """See ``ModemHost``."""
        found = [bearer_in(_mmcli("-b", path)) for path in modem.bearers]
        return next((bearer for bearer in found if bearer.connected), None)

    def connect(self, modem: Modem, settings: dict[str, str]) -> None:
        """See ``ModemHost``. No message repeats the settings: PIN and password are among them."""
        words = {**settings, "ip-type": "ipv4"}
        text = ",".join(f"{key}={value}" for key, value in words.items() if value)
        try:
            _mmcli("-m", modem.path, f"--timeout={CONNECT_S}", f"--simple-connect={text}", timeout_s=CONNECT_S + 10.0)
        except NetworkError as error:
            reason = str(error).partition("failed: ")[2] or "no answer"
            raise NetworkError(f"the modem does not connect: {reason}") from None


def _mmcli(*words: str, timeout_s: float = programs.TIMEOUT_S) -> str:
    return programs.run(["mmcli", "-J", *words], timeout_s=timeout_s)

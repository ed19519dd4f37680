"""wpa_supplicant: how it is started, and its control socket (hostap, doc/ctrl_iface.doxygen: words in datagrams)."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path
from typing import Final, Protocol

from sitemanager.core.wifi import status_values, supplicant_config
from sitemanager.exceptions import NetworkError

DRIVERS: Final = "nl80211"
ANSWER_S: Final = 2.0
_MOST_ANSWER_BYTES: Final = 8192


class WifiHost(Protocol):
    """What the service asks of the host."""

    def argv(self, interface: str, ssid: str, passphrase: str) -> list[str]:
        """Write the configuration and return the command line of a supplicant for it. Raises NetworkError."""

    def status(self, interface: str) -> dict[str, str]:
        """Return what the supplicant says of itself; empty while it does not answer."""


class LinuxWifi:
    """See ``WifiHost``. Files are in ``directory``, which only the daemon can look into."""

    def __init__(self, directory: Path, drivers: str = DRIVERS) -> None:
        self._directory = directory
        self._drivers = drivers

    def argv(self, interface: str, ssid: str, passphrase: str) -> list[str]:
        """See ``WifiHost``. ``setpriv`` ends the program with the daemon, however that ends."""
        path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
        supplicant, setpriv = shutil.which("wpa_supplicant", path=path), shutil.which("setpriv", path=path)
        if supplicant is None or setpriv is None:
            missing = "wpa_supplicant (install wpasupplicant)" if supplicant is None else "setpriv (install util-linux)"
            raise NetworkError(f"this unit cannot use Wi-Fi: the program {missing} is missing")
        file = self._directory / f"{interface}.conf"
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            # A socket that a crash left would keep the next run from its own.
            (self._directory / interface).unlink(missing_ok=True)
            file.unlink(missing_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(supplicant_config(ssid, passphrase, str(self._directory)))
        except OSError as error:
            raise NetworkError(f"cannot write {file}: {error.strerror}") from None
        own = [supplicant, "-i", interface, "-c", str(file), "-D", self._drivers]
        return [setpriv, "--pdeathsig", "TERM", "--", *own]

    def status(self, interface: str) -> dict[str, str]:
        """See ``WifiHost``."""
        return status_values(self.ask(interface, "STATUS"))

    def ask(self, interface: str, command: str) -> str:
        """Return the answer to a command; empty while nobody answers. Blocks for at most ``ANSWER_S``."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        with control, contextlib.suppress(OSError):
            # An address of its own, without a file: the answer is sent there.
            control.bind("")
            control.settimeout(ANSWER_S)
            control.connect(str(self._directory / interface))
            control.send(command.encode())
            return control.recv(_MOST_ANSWER_BYTES).decode(errors="replace")
        return ""

"""How BusyBox's DHCP client is started: it speaks DHCP and hands on what it hears; it changes nothing itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from sitemanager.exceptions import NetworkError

SCRIPT: Final = Path(__file__).with_name("udhcpc-event")
_ATTEMPTS, _PAUSE_S, _REST_S = "4", "2", "10"


def client_argv(interface: str, last_address: str = "") -> list[str]:
    """Return the command line; ``last_address`` is asked for again. Raises NetworkError if there is no such program.

    ``setpriv`` ends it with the daemon, however that ends: a client that nobody listens to would keep the lease of an
    address that nobody has.
    """
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    setpriv, udhcpc, busybox = (shutil.which(name, path=path) for name in ("setpriv", "udhcpc", "busybox"))
    client = [udhcpc] if udhcpc else [busybox, "udhcpc"] if busybox else None
    if client is None or setpriv is None:
        missing = "udhcpc (install udhcpc or busybox)" if client is None else "setpriv (install util-linux)"
        raise NetworkError(f"this unit cannot ask for an address by DHCP: the program {missing} is missing")
    wish = ["-r", last_address] if last_address else []
    times = ["-t", _ATTEMPTS, "-T", _PAUSE_S, "-A", _REST_S]
    name = f"hostname:{os.uname().nodename[:63]}"
    return [
        setpriv,
        "--pdeathsig",
        "TERM",
        "--",
        *client,
        "-f",
        "-i",
        interface,
        "-s",
        str(SCRIPT),
        *times,
        "-x",
        name,
        *wish,
    ]

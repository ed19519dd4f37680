"""An HTTP CONNECT proxy that wants a login, as large firms have: Debian's tinyproxy, on a firewall of the lab."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from lab.exceptions import MissingRights
from lab.lab import Lab
from lab.layout import GM_PORTS, OFFICE_LAN_ADDRESS, PROXY_PORT, SITE_LAN_ADDRESS
from lab.processes import Process


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy, and how it is reached from the LAN behind its firewall."""

    address: str
    port: int
    user: str
    password: str
    process: Process

    @property
    def url(self) -> str:
        """As it is written in settings, login included."""
        return f"http://{self.user}:{self.password}@{self.address}:{self.port}"


def start_proxy(lab: Lab, firewall: str, user: str = "gate", password: str = "keeper") -> Proxy:  # noqa: S107
    """Start a proxy on `office`, `factory`, ...; it connects to the GM's ports only, and only with this login.

    Together with `lab.firewall(...).allow_only_proxy()` it is the only way out. Raises MissingRights without tinyproxy.
    """
    if shutil.which("tinyproxy") is None:
        raise MissingRights("the program tinyproxy is missing; apt-get install tinyproxy-bin")
    place = lab.place(lab.firewall(firewall).name)
    address = OFFICE_LAN_ADDRESS if firewall == "office" else SITE_LAN_ADDRESS
    settings = [
        f"Listen {address}",
        f"Port {PROXY_PORT}",
        "Timeout 600",
        "MaxClients 100",
        "LogLevel Info",
        f"BasicAuth {user} {password}",
        *(f"ConnectPort {port}" for port in GM_PORTS),
    ]
    path = place.run_directory / f"{firewall}.tinyproxy.conf"
    path.touch(mode=0o600)
    path.write_text("\n".join(settings) + "\n", encoding="utf-8")
    process = place.start(["tinyproxy", "-d", "-c", path])
    process.wait_for_line("Accepting connections")
    return Proxy(address, PROXY_PORT, user, password, process)

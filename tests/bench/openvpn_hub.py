"""The other: OpenVPN 2.6, TAP over TCP, both ends clients of a hub, AES-256-GCM."""

from __future__ import annotations

from dataclasses import dataclass

from bench.certificates import Files
from lab import Lab, Place

PC_ADDRESS, SITE_ADDRESS = "10.77.0.2", "10.77.0.1"
_PORT = 1195
_COMMON = "--dev-type tap --data-ciphers AES-256-GCM --verb 1 --disable-dco"


@dataclass(frozen=True, slots=True)
class OpenVpnHub:
    """The hub and both clients, up."""

    site_address: str
    pc_pid: int
    site_pid: int
    hub_pid: int


def bring_up(lab: Lab, files: Files) -> OpenVpnHub:
    """Start hub and clients; returns when both are connected."""
    hub = lab.internet.start(
        [
            *f"openvpn --dev ovhub --proto tcp-server --lport {_PORT} --mode server --tls-server".split(),
            *f"--client-to-client --duplicate-cn --dh none --tcp-nodelay --keepalive 10 60 {_COMMON}".split(),
            *("--ca", files.ca, "--cert", files.server, "--key", files.server),
        ]
    )
    hub.wait_for_line("Initialization Sequence Completed")

    def client(place: Place, address: str) -> int:
        process = place.start(
            [
                *f"openvpn --dev ov0 --proto tcp-client --remote 203.0.113.10 {_PORT} --nobind --client".split(),
                *f"--ifconfig {address} 255.255.255.0 {_COMMON}".split(),
                *("--ca", files.ca, "--cert", files.client, "--key", files.client),
            ]
        )
        process.wait_for_line("Initialization Sequence Completed", 30)
        return process.pid

    site_pid = client(lab.site, SITE_ADDRESS)
    pc_pid = client(lab.pc, PC_ADDRESS)
    return OpenVpnHub(SITE_ADDRESS, pc_pid, site_pid, hub.pid)

"""Programs: the SM's network of sessions in a real namespace, and a PC at the far end, joined by frames over a socket.

    python -m netns.sm_wire site RUNTIME DIRECTORY     reads JSON lines: a DesiredState, or null to clean up
    python -m netns.sm_wire pc NAME PC GATEWAY SOCKET ROUTE...

What TLS and the GateManager do in life is left out here: only the host's side is looked at.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from gatelink.exceptions import GatelinkError
from gatelink.tunnel.tap import Tap, open_tap
from gatelink.tunnel_mac import tunnel_mac
from sitemanager.core.desired import DesiredState
from sitemanager.host.network.linux import LinuxNetwork


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _copy(tap: Tap, far: socket.socket) -> None:
    """Carry frames both ways until the adapter or the far end is gone."""
    os.set_blocking(tap.fileno(), True)

    def inward() -> None:
        with contextlib.suppress(OSError):
            while frame := far.recv(70000):
                # An adapter that is not up refuses frames.
                with contextlib.suppress(OSError):
                    os.write(tap.fileno(), frame)

    threading.Thread(target=inward, daemon=True).start()
    with contextlib.suppress(OSError):
        while frame := os.read(tap.fileno(), 70000):
            far.send(frame)


def _serve(tap: Tap, path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    listener.listen()

    def accept() -> None:
        far, _ = listener.accept()
        _copy(tap, far)

    threading.Thread(target=accept, daemon=True).start()


def site(runtime: Path, directory: Path) -> None:
    """Apply what is read, line by line, and say so."""
    network = LinuxNetwork(runtime, _say)
    served: set[str] = set()
    for line in sys.stdin:
        wanted = msgspec.json.decode(line, type=DesiredState | None)
        try:
            if wanted is None:
                network.clean_up()
            else:
                network.apply(wanted)
        except GatelinkError as error:
            _say(f"error: {error}")
            continue
        names = {session.interface for session in wanted.sessions} if wanted else set()
        for name in names - served:
            _serve(network.tap(name), directory / name)
        served = names
        _say("done")


def pc(name: str, address: str, gateway: str, path: str, *routes: str) -> None:
    """Be the far end: an adapter with the tunnel's address, and routes into it for whatever one may try."""
    tap = open_tap(name, mac=bytes.fromhex(tunnel_mac(address).replace(":", "")))
    commands = [
        f"address add {address}/30 dev {name}",
        f"link set dev {name} up",
        f"neighbour replace {gateway} lladdr {tunnel_mac(gateway)} nud permanent dev {name}",
        *(f"route replace {route} via {gateway} dev {name}" for route in routes),
    ]
    subprocess.run(["ip", "-batch", "-"], input="\n".join([*commands, ""]), text=True, check=True)
    far = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.connect(path)
    _say("pc ready")
    _copy(tap, far)


if __name__ == "__main__":
    if sys.argv[1] == "site":
        site(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        pc(*sys.argv[2:])

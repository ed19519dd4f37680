"""Programs: the SM's network of sessions in a real namespace, and a PC at the far end, joined by frames over a socket.

    python -m netns.sm_wire site RUNTIME DIRECTORY     reads JSON lines: a DesiredState, or null to clean up
    python -m netns.sm_wire pc NAME PC GATEWAY SOCKET ROUTE...

What TLS and the GateManager do in life is left out here: only the host's side is looked at.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
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


def _inward(tap: Tap, far: socket.socket) -> None:
    """Carry frames from the far end until it is gone."""
    while frame := far.recv(70000):
        # An adapter that is not up, or gone, refuses frames.
        with contextlib.suppress(OSError):
            os.write(tap.fileno(), frame)


def _outward(tap: Tap, far: socket.socket) -> None:
    """Carry frames to the far end until it or the adapter is gone.

    A blocked read would keep the adapter alive after it was closed; epoll does not.
    """
    with far, select.epoll() as epoll, contextlib.suppress(OSError, ValueError):
        epoll.register(tap.fileno(), select.EPOLLIN)
        epoll.register(far, 0)
        far_fd = far.fileno()
        while tap.fileno() >= 0:
            for descriptor, _ in epoll.poll(0.1):
                if descriptor == far_fd:
                    return
                far.send(os.read(tap.fileno(), 70000))
        far.shutdown(socket.SHUT_RDWR)


def _serve(tap: Tap, path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    listener.listen()

    def accept() -> None:
        with listener:
            far, _ = listener.accept()
        threading.Thread(target=_outward, args=(tap, far.dup()), daemon=True).start()
        with far, contextlib.suppress(OSError):
            _inward(tap, far)

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
    _say("pc ready")
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as far, contextlib.suppress(OSError):
            far.connect(path)
            _say("pc connected")
            threading.Thread(target=_outward, args=(tap, far.dup()), daemon=True).start()
            _inward(tap, far)
            _say("pc disconnected")
        time.sleep(0.02)  # the far end is made anew by whoever tests


if __name__ == "__main__":
    if sys.argv[1] == "site":
        site(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        pc(*sys.argv[2:])

"""Program: the data path without the control plane around it: a relay, or one end of a tunnel.

Usage: python -m bench.stand_in relay PORT
       python -m bench.stand_in end HOST PORT TAP KEY_AND_CERTIFICATE CA server|client ADDRESS/BITS [portable]

It stands where `gm`, `sm` and `lm` will: the legs are joined in the order in which they come. Everything between is the
product's own: RelayPool and its worker, Pump, TAP.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
import threading

from gatelink.tunnel.devices import pump_for
from gatelink.tunnel.fake import TapFrames
from gatelink.tunnel.near_end import PumpEnd, PumpHooks
from gatelink.tunnel.tap import open_tap
from gm_server.relay.pool import RelayPool


def say(text: str) -> None:
    """One line for whoever waits for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def relay(port: int) -> None:
    """Join every two connections until killed."""
    pool = await RelayPool(1, on_ended=lambda name, end: say(f"ended {name} {end}")).start()
    loop = asyncio.get_running_loop()
    with socket.create_server(("0.0.0.0", port), backlog=128) as listener:
        listener.setblocking(False)
        say(f"relay listens, workers {pool.pids}")
        number = 0
        while True:
            first, _ = await loop.sock_accept(listener)
            second, _ = await loop.sock_accept(listener)
            number += 1
            await pool.join(f"s{number}", first, second)


def end(host: str, port: str, tap_name: str, key: str, ca: str, side: str, address: str, kind: str = "") -> None:
    """One end of the tunnel; says "up" when frames flow. Of the kind "portable" it is that of other systems."""
    server = side == "server"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if server:
        context.load_cert_chain(key)
    else:
        context.check_hostname = False
        context.load_verify_locations(ca)
    tap = open_tap(tap_name)
    for command in (f"addr add {address} dev {tap_name}", f"link set {tap_name} up"):
        subprocess.run(["ip", *command.split()], check=True)
    leg = socket.create_connection((host, int(port)), timeout=20)
    tls, hooks = context.wrap_socket(leg, server_side=server), PumpHooks(on_up=lambda _hello: say("up"))
    pump = pump_for(TapFrames(tap) if kind == "portable" else tap, tls, hooks=hooks)
    signal.signal(signal.SIGTERM, lambda *_: pump.stop("terminated"))
    ended: list[PumpEnd] = []
    thread = threading.Thread(target=lambda: ended.append(pump.run()))
    thread.start()
    while thread.is_alive():
        thread.join(1)
    say(f"{ended} {pump.counters}")


def main() -> None:
    """Run the role that the arguments name."""
    role, *arguments = sys.argv[1:]
    if role == "relay":
        asyncio.run(relay(int(arguments[0])))
    else:
        end(*arguments)


if __name__ == "__main__":
    main()

"""Program: the data path without the control plane around it: a relay and the two ends of one tunnel.

Usage: python -m bench.stand_in relay PORT | end HOST PORT TAP CERTIFICATE server|client

It stands where `gm`, `sm` and `lm` will: the legs are joined in the order in which they come, and both ends trust the one
certificate. Everything between is the product's own: RelayPool and its worker, Pump, TAP.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
import threading

from gatelink.tunnel.pump import Pump
from gatelink.tunnel.tap import open_tap
from gm_server.relay.pool import RelayPool


def say(text: str) -> None:
    """One line for whoever waits for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def relay(port: int, workers: int = 1) -> None:
    """Join every two connections until killed."""
    pool = await RelayPool(workers, on_ended=lambda name, end: say(f"ended {name} {end}")).start()
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


def end(host: str, port: int, tap_name: str, certificate: str, side: str) -> None:
    """One end of the tunnel; says "up" when frames may flow."""
    tap = open_tap(tap_name)
    leg = socket.create_connection((host, port), timeout=20)
    if side == "server":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    pump = Pump(tap, context.wrap_socket(leg, server_side=side == "server"))
    signal.signal(signal.SIGTERM, lambda *_: pump.stop("terminated"))
    ended = []
    thread = threading.Thread(target=lambda: ended.append(pump.run()))
    thread.start()
    say("up")
    while thread.is_alive():
        thread.join(1)
    say(f"{ended[0]} {pump.counters}")


def main() -> None:
    """Run the role that the arguments name."""
    if sys.argv[1] == "relay":
        asyncio.run(relay(int(sys.argv[2])))
    else:
        host, port, tap_name, certificate, side = sys.argv[2:]
        end(host, int(port), tap_name, certificate, side)


if __name__ == "__main__":
    main()

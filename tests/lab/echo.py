"""Program: says back what it gets by TCP and UDP, IPv4 and IPv6, and tells what came: to test what must not come.

Usage: python -m lab.echo [--tcp PORT]... [--udp PORT]...

Says "echo listens" when ready, then a line for each connection and datagram: "tcp 502 from 192.168.50.1".
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    port = writer.get_extra_info("sockname")[1]
    _say(f"tcp {port} from {_plain(writer.get_extra_info('peername')[0])}")
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError as error:
        _say(f"tcp {port} broken: {error.strerror}")
    finally:
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, port: int) -> None:
        self._port = port

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | bytes | int, ...]) -> None:
        _say(f"udp {self._port} from {_plain(str(addr[0]))}")
        self._transport.sendto(data, addr)


def _dual_stack(kind: socket.SocketKind, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", port))
    return listener


async def serve(tcp_ports: list[int], udp_ports: list[int]) -> None:
    """Answer until cancelled."""
    for port in tcp_ports:
        await asyncio.start_server(_answer, sock=_dual_stack(socket.SOCK_STREAM, port))
    for port in udp_ports:
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda port=port: _Datagrams(port),  # type: ignore[misc]
            sock=_dual_stack(socket.SOCK_DGRAM, port),
        )
    _say("echo listens")
    await asyncio.Event().wait()


def main() -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(prog="lab.echo", description="echo server for TCP and UDP")
    parser.add_argument("--tcp", type=int, action="append", default=[], metavar="PORT")
    parser.add_argument("--udp", type=int, action="append", default=[], metavar="PORT")
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.tcp, arguments.udp))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

"""Program: a crowd of strangers at the GateManager's front door, each of whom comes again when he is thrown out.

    python -P -m netns.link_flood KIND --count 2000 [--addresses 500] [--target 203.0.113.10] [--ports 11444,443,80]

The addresses are 100.64.0.1 and following, which must be the place's own (`ip route add local 100.64.0.0/16 dev lo`).
Says "crowd" when everybody has tried once, then a line a second with counts: "open 512 thrown-out 1300".

| kind | what each stranger does |
|---|---|
| silent | connects and says nothing |
| slow-hello | sends a good ClientHello, a byte every 0.2 s |
| endless-hello | announces a long ClientHello and sends zeros without end |
| garbage | sends random bytes |
| slow-http | sends an HTTP header a byte every 0.2 s |
| http | asks for a page as fast as answers come |
| slow-enrolment | does the TLS handshake for an enrolment, then sends a frame a byte every 0.2 s |
| huge-frame | does the same handshake, then announces a frame of 4 GiB and sends it |
| pages | does the web's TLS handshake and asks for the page as fast as answers come |
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import resource
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

Stranger = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_PAUSE_S = 0.2
_GET = b"GET / HTTP/1.1\r\nHost: gm.example.com\r\n\r\n"


def client_hello() -> bytes:
    """The first flight of an ordinary client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Nothing."""


async def slowly(writer: asyncio.StreamWriter, data: bytes) -> None:
    """A byte after the other."""
    for position in range(len(data)):
        writer.write(data[position : position + 1])
        await writer.drain()
        await asyncio.sleep(_PAUSE_S)


async def slow_hello(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A ClientHello that takes minutes."""
    await slowly(writer, client_hello())


async def endless_hello(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A handshake message of 16 MiB, record after record."""
    writer.write(b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(0x3FFC))
    while not writer.is_closing():
        writer.write(b"\x16\x03\x01\x40\x00" + bytes(0x4000))
        await writer.drain()
        await asyncio.sleep(0)


async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whatever."""
    writer.write(random.randbytes(random.randrange(1, 2000)))
    await writer.drain()


async def slow_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A header that takes minutes."""
    await slowly(writer, b"GET / HTTP/1.1\r\nX: " + b"y" * 10_000)


async def pages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pages, as fast as they come."""
    while not reader.at_eof():
        writer.write(_GET)
        await writer.drain()
        await reader.read(65536)


async def slow_frame(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An enrolment that takes minutes."""
    await slowly(writer, (1000).to_bytes(4, "big") + bytes(1000))


async def huge_frame(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An enrolment of 4 GiB."""
    writer.write(b"\xff\xff\xff\xff")
    while not writer.is_closing():
        writer.write(bytes(65536))
        await writer.drain()
        await asyncio.sleep(0)


KINDS: dict[str, tuple[Stranger, str | None]] = {
    "silent": (silent, None),
    "slow-hello": (slow_hello, None),
    "endless-hello": (endless_hello, None),
    "garbage": (garbage, None),
    "slow-http": (slow_http, None),
    "http": (pages, None),
    "slow-enrolment": (slow_frame, "gatelink-enrol/1"),
    "huge-frame": (huge_frame, "gatelink-enrol/1"),
    "pages": (pages, "http/1.1"),
}


class Crowd:
    """All strangers."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._act, protocol = KINDS[options.kind]
        self._ports = [int(port) for port in options.ports.split(",")]
        self._context: ssl.SSLContext | None = None
        if protocol is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
            self._context.set_alpn_protocols([protocol])
        self.counts: Counter[str] = Counter()
        self.tried: set[int] = set()
        self.everybody_tried = asyncio.Event()

    async def be(self, number: int) -> None:
        """One stranger, again and again."""
        while True:
            # AttributeError is asyncio's own, when it writes to a TLS connection that was reset (Python 3.11).
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, AttributeError):
                async with self._connection(number) as (reader, writer):
                    await self._act(reader, writer)
                    while await reader.read(65536):
                        pass
            self.counts["thrown-out"] += 1
            await asyncio.sleep(_PAUSE_S)

    @contextlib.asynccontextmanager
    async def _connection(self, number: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        which = number % self._options.addresses
        source = f"100.64.{which // 250}.{which % 250 + 1}"
        port = self._ports[number % len(self._ports)]
        self.tried.add(number)
        if len(self.tried) == self._options.count:
            self.everybody_tried.set()
        reader, writer = await asyncio.open_connection(
            self._options.target, port, ssl=self._context, local_addr=(source, 0)
        )
        self.counts["open"] += 1
        try:
            yield reader, writer
        finally:
            self.counts["open"] -= 1
            writer.transport.abort()


async def run(options: argparse.Namespace) -> None:
    """Be a crowd until ended."""
    crowd = Crowd(options)
    strangers = [asyncio.ensure_future(crowd.be(number)) for number in range(options.count)]
    await crowd.everybody_tried.wait()
    _say("crowd")
    while not any(stranger.done() for stranger in strangers):
        await asyncio.sleep(1)
        _say(f"open {crowd.counts['open']} thrown-out {crowd.counts['thrown-out']}")


def main() -> None:
    """Run until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--addresses", type=int, default=1)
    parser.add_argument("--target", default="203.0.113.10")
    parser.add_argument("--ports", default="11444,443,80")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (options.count + 100,) * 2)
    asyncio.run(run(options))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""A permanent relay at its LinkManager: who may connect, what is carried, what is told."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from gatelink.exceptions import InputError, LinkError
from lm_client.agent.relay_end import Counts, Networks, RelayEnd, Way
from lm_client.config import parse

HERE = (ipaddress.ip_network("127.0.0.0/8"),)
ELSEWHERE = (ipaddress.ip_network("192.0.2.0/24"),)
DEADLINE_S = 60.0
PIECE = b"0123456789abcdef" * 65536


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A device that says everything back, and closes when who asks has said all."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def relay(target_port: int, counts: Counts, *, sources: Networks = HERE, most: int = 4) -> AsyncIterator[int]:
    end = RelayEnd(Way("127.0.0.1", free_port(), "", "127.0.0.1", target_port, ""), sources, most, counts)
    end.start()
    try:
        yield end.way.port
    finally:
        await end.close()


async def said_back(port: int, data: bytes) -> bytes:
    """Send everything, say that this was all, and read to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    try:
        async with asyncio.timeout(DEADLINE_S):
            return (await asyncio.gather(say(), reader.read(-1)))[1]
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def until(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - figures have no event
            await asyncio.sleep(0.01)
    assert what


def test_every_byte_is_carried_and_counted_both_ways() -> None:
    async def story() -> None:
        counts = Counts()
        async with echo() as device, relay(device, counts) as port:
            answers = [*await asyncio.gather(said_back(port, PIECE), said_back(port, b"x"))]
            await until(lambda: not counts.open, "both to be over")
        assert answers == [PIECE, b"x"]
        assert (counts.opened, counts.refused) == (2, 0)
        assert counts.bytes_in == counts.bytes_out == len(PIECE) + 1

    asyncio.run(story())


def test_stranger_is_reset_when_his_address_is_not_allowed() -> None:
    async def story() -> None:
        counts = Counts()
        async with echo() as device, relay(device, counts, sources=ELSEWHERE) as port:
            with pytest.raises(ConnectionError):
                await said_back(port, b"x")
        assert (counts.opened, counts.refused) == (0, 1)

    asyncio.run(story())


def test_one_more_is_refused_when_as_many_as_may_are_open() -> None:
    async def story() -> None:
        counts = Counts()
        async with echo() as device, relay(device, counts, most=1) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await until(lambda: counts.opened == 1, "the first to be carried")
            with pytest.raises(ConnectionError):
                await said_back(port, b"x")
            assert counts.refused == 1
            writer.close()
            await until(lambda: not counts.open, "the first to be over")
            assert await said_back(port, b"x") == b"x"

    asyncio.run(story())


def test_open_connection_is_broken_off_when_the_relay_ends() -> None:
    async def story() -> None:
        counts = Counts()
        async with echo() as device:
            async with relay(device, counts) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                await until(lambda: counts.opened == 1, "it to be carried")
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(DEADLINE_S):
                    await reader.readexactly(1)
            with pytest.raises(ConnectionError):
                await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            assert counts.open == 0

    asyncio.run(story())


def test_trouble_is_named_when_nobody_answers_at_the_target() -> None:
    async def story() -> None:
        counts = Counts()
        async with relay(free_port(), counts) as port:
            with pytest.raises(ConnectionError):
                await said_back(port, b"x")
        assert "cannot connect to 127.0.0.1" in counts.trouble
        assert (counts.opened, counts.refused, counts.open) == (0, 1, 0)

    asyncio.run(story())


def test_taken_port_is_told() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            way = Way("127.0.0.1", taken.getsockname()[1], "", "127.0.0.1", 1, "")
            with pytest.raises(LinkError, match=r"cannot listen on 127\.0\.0\.1"):
                RelayEnd(way, HERE, 1, Counts()).start()

    asyncio.run(story())


def test_socket_towards_the_tunnel_is_refused_when_its_interface_is_gone() -> None:
    async def story() -> None:
        counts = Counts()
        way = Way("127.0.0.1", free_port(), "", "127.0.0.1", free_port(), "gl-not-there")
        end = RelayEnd(way, HERE, 1, counts)
        end.start()
        with pytest.raises(ConnectionError):
            await said_back(way.port, b"x")
        await end.close()
        assert counts.opened == 0

    asyncio.run(story())


@pytest.mark.parametrize(
    ("relays", "wrong"),
    [
        ({"listen": "0.0.0.0"}, "one address"),
        ({"listen": "::"}, "one address"),
        ({"listen": "somewhere"}, "one address"),
        ({"sources": ["everybody"]}, "everybody"),
        ({"sources": []}, "sources"),
        ({"max_connections": 0}, "max_connections"),
        ({"named": {"x": {"server": "127.0.0.1"}}}, "host:port"),
        ({"named": {"x": {"server": "host:99999"}}}, "host:port"),
        ({"named": {"x": {"listen": "0.0.0.0"}}}, "one address"),
        ({"named": {"x": {"to": "127.0.0.1:1"}}}, "to"),
    ],
)
def test_settings_are_refused_when_they_would_open_too_much_or_make_no_sense(
    relays: dict[str, object], wrong: str
) -> None:
    with pytest.raises(InputError, match=wrong):
        parse({"relays": relays})

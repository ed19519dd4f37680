"""What strangers do to the front door: floods, slowness, nonsense; and what browsers get."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelink import messages
from gatelink.exceptions import LinkError
from gatelink.link.contact import ask_hello, connect_pinned, first_contact
from gatelink.link.endpoints import Endpoint
from gatelink.tls_io import Conversation, drive
from gatelink.wire import ALPN_CONTROL, ALPN_ENROL, MAX_FRAME_BYTES
from gm_server.config import Limits
from gm_server.frontdoor import browsers, door, places
from gm_server.frontdoor.listeners import _SHORTAGE_PAUSE_S, Acceptor
from inproc.gm_running import DEADLINE_S, Appliance, RunningGm, connected_plant, running_gm, until


async def _open(gm: RunningGm, data: bytes = b"") -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (gm.endpoint.address, gm.endpoint.port))
    if data:
        await loop.sock_sendall(connection, data)
    return connection


async def _read_all(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    data = b""
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(ConnectionError):
            while piece := await asyncio.get_running_loop().sock_recv(connection, 4096):
                data += piece
    connection.close()
    return data


def _client_hello(protocols: list[str]) -> bytes:
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="gm.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@contextlib.contextmanager
def _processor_time() -> Iterator[list[float]]:
    """Gives the processor seconds of this process inside the block."""
    spent: list[float] = []
    before = time.process_time()
    yield spent
    spent.append(time.process_time() - before)


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time limit that a test can wait for."""
    monkeypatch.setattr(door, "HANDSHAKE_TIMEOUT_S", 0.5)


def test_everybody_is_served_on_every_port_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm", listen=("127.0.0.1:0", "127.0.0.1:0", "[::1]:0")) as gm:
            assert len(gm.server.addresses) == 3
            for host, port in gm.server.addresses:
                hello, certificate = await ask_hello(Endpoint(host, port))
                assert hello is not None
                assert certificate == gm.pin.certificate

    asyncio.run(scenario())


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize("data", [b"", b"\x16", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost:"])
def test_connection_is_closed_when_it_does_not_say_what_it_wants_in_time(tmp_path: Path, data: bytes) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            assert await _read_all(await _open(gm, data)) == b""
            await until(lambda: gm.server.strangers.counts["timeout"] == 1 and gm.server.door.pending == 0)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "data", [b"\x00\x00", b"ssh-2.0\r\n", b"\x16\x02\x00\x00\x05", b"\x16\x03\x01\x00\x05\x02aaaa"]
)
def test_connection_is_closed_at_once_when_it_speaks_neither_tls_nor_http(tmp_path: Path, data: bytes) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            assert await _read_all(await _open(gm, data)) == b""
            await until(lambda: gm.server.strangers.counts["protocol"] == 1)

    asyncio.run(scenario())


def test_processor_rests_while_a_client_hello_dribbles_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            hello = _client_hello([ALPN_ENROL])
            connections = [await _open(gm, hello[:-1]) for _ in range(20)]
            await until(lambda: gm.server.door.pending == 20)
            with _processor_time() as spent:
                await asyncio.sleep(1)
            assert spent[0] < 0.5
            # The last byte wakes it: the GM answers with its handshake.
            loop = asyncio.get_running_loop()
            for connection in connections:
                await loop.sock_sendall(connection, hello[-1:])
                async with asyncio.timeout(DEADLINE_S):
                    assert (await loop.sock_recv(connection, 1)) == b"\x16"
                connection.close()

    asyncio.run(scenario())


def test_client_hello_is_served_when_it_comes_byte_by_byte(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            connection = await _open(gm)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in _client_hello([ALPN_ENROL]):
                await asyncio.get_running_loop().sock_sendall(connection, bytes([byte]))
                await asyncio.sleep(0)
            async with asyncio.timeout(DEADLINE_S):
                assert (await asyncio.get_running_loop().sock_recv(connection, 1)) == b"\x16"
            connection.close()

    asyncio.run(scenario())


def test_tls_says_no_when_a_protocol_of_ours_is_not_known(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            answer = await _read_all(await _open(gm, _client_hello(["gatelink-control/99"])))
            assert answer == bytes((21, 3, 3, 0, 2, 2, 120))

    asyncio.run(scenario())


def test_others_are_served_when_one_address_holds_all_its_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "GRACE_S", 0.2)
    limits = Limits(pending_connections=20, pending_per_address=20)

    async def scenario() -> None:
        async with running_gm(tmp_path / "gm", limits, listen=("127.0.0.1:0", "[::1]:0")) as gm:
            flood = [await _open(gm) for _ in range(60)]
            await until(lambda: gm.server.door.pending == 20)
            host, port = gm.server.addresses[1]
            async with asyncio.timeout(DEADLINE_S):
                hello, _ = await ask_hello(Endpoint(host, port))
            assert hello is not None
            assert gm.server.door.pending <= 20
            # Those who made room are really gone.
            async with asyncio.timeout(DEADLINE_S):
                assert await _read_all(flood[0]) == b""
            for connection in flood:
                connection.close()

    asyncio.run(scenario())


def test_logged_in_peers_take_no_places(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm", limits=Limits(pending_connections=2)) as (gm, _, _user):
            await until(lambda: gm.server.door.pending == 0)
            appliances = [Appliance(gm, await gm.enrolled_appliance())]
            await appliances[0].log_in()
            await until(lambda: gm.server.door.pending == 0)
            appliances[0].close()

    asyncio.run(scenario())


def test_server_lives_and_rests_when_no_descriptor_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, _user):
            await until(lambda: gm.server.door.pending == 0)
            loop = asyncio.get_running_loop()
            clients = [socket.socket() for _ in range(10)]
            with _no_descriptor_left():
                for client in clients:
                    client.setblocking(False)
                    await loop.sock_connect(client, ("127.0.0.1", gm.endpoint.port))
                await until(lambda: gm.server.strangers.counts["shortage"] > 0)
                before, begun_s = gm.server.strangers.counts["shortage"], loop.time()
                with _processor_time() as spent:
                    await asyncio.sleep(1)
                assert spent[0] < 0.5
                # However long that second was: a few, not thousands.
                tried = gm.server.strangers.counts["shortage"] - before
                assert tried <= 2 + 2 * (loop.time() - begun_s) / _SHORTAGE_PAUSE_S
                await appliance.say(messages.Ping(token=1))
                assert appliance.conversation is not None
                await drive(appliance.conversation.tls, lambda tls=appliance.conversation.tls: tls.recv(100))  # type: ignore[misc]
            for client in clients:
                client.close()
            hello, _ = await ask_hello(gm.endpoint)
            assert hello is not None

    asyncio.run(scenario())


def test_stranger_gives_its_descriptor_when_none_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            first = await _open(gm)
            await until(lambda: gm.server.door.pending == 1)
            second = socket.socket()
            second.setblocking(False)
            with _no_descriptor_left():
                await asyncio.get_running_loop().sock_connect(second, ("127.0.0.1", gm.endpoint.port))
                async with asyncio.timeout(DEADLINE_S):
                    assert await _read_all(first) == b""
                await until(lambda: gm.server.door.pending == 1)
            second.close()

    asyncio.run(scenario())


@contextlib.contextmanager
def _no_descriptor_left() -> Iterator[None]:
    """Let this process open nothing inside the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 200, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


def test_connection_is_closed_at_once_when_it_ends_in_the_middle_of_a_client_hello(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            connection = await _open(gm, _client_hello([ALPN_ENROL])[:-1])
            await until(lambda: gm.server.door.pending == 1)
            connection.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(DEADLINE_S):
                assert await _read_all(connection) == b""
            await until(lambda: gm.server.strangers.counts["protocol"] == 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("logged_in", [False, True], ids=["before login", "after login"])
def test_connection_ends_when_a_frame_is_too_long(tmp_path: Path, *, logged_in: bool) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, _user):
            if not logged_in:
                await appliance.connect()
            assert appliance.conversation is not None
            tls = appliance.conversation.tls
            await drive(tls, lambda: tls.send((MAX_FRAME_BYTES + 1).to_bytes(4, "big") + b"x" * 100))
            refusal = await appliance.hear_kind(messages.Refusal)
            assert refusal.code == "protocol"
            with pytest.raises(LinkError):
                await appliance.hear()
            await until(lambda: not list(gm.server.peers.appliances()))

    asyncio.run(scenario())


def test_half_a_login_does_not_hold_up_others_and_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gm_server.service import control

    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, _user):
            monkeypatch.setattr(control, "LOGIN_TIMEOUT_S", 0.5)
            slow = await connect_pinned(gm.endpoint, gm.pin, ALPN_CONTROL, appliance.identity)
            await drive(slow.tls, lambda: slow.tls.send(b"\x00\x00"))
            hello, _ = await ask_hello(gm.endpoint)
            assert hello is not None
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(LinkError):
                    await Conversation(slow.tls, 1000).receive(messages.GM_TO_APPLIANCE)
            slow.close()
            assert list(gm.server.peers.appliances())

    asyncio.run(scenario())


async def _https(gm: RunningGm, request: bytes) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", gm.endpoint.port, ssl=context)
    try:
        writer.write(request)
        async with asyncio.timeout(DEADLINE_S):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def test_browser_gets_the_status_page_with_the_other_certificate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm", name="<acme & co>") as gm:
            request = b"GET /about HTTP/1.1\r\nHost: gm\r\nConnection: close\r\n\r\n"
            head, _, body = (await _https(gm, request)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert gm.pin.serial.encode() in body
            assert b"&lt;acme &amp; co&gt;" in body
            assert b"<script>" not in body
            for header in (
                b"content-security-policy: default-src 'none'",
                b"strict-transport-security",
                b"x-frame-options",
            ):
                assert header in head.lower()
            tls, certificate = await first_contact(gm.endpoint, "http/1.1")
            assert certificate == gm.directory.web_identity().certificate != gm.pin.certificate
            tls.close()
            assert b"ok" in await _https(gm, b"GET /healthz HTTP/1.1\r\nHost: gm\r\nConnection: close\r\n\r\n")
            missing = await _https(gm, b"GET /../etc/passwd HTTP/1.1\r\nHost: gm\r\nConnection: close\r\n\r\n")
            assert missing.startswith(b"HTTP/1.1 404")
            assert b"x-frame-options" in missing.lower()

    asyncio.run(scenario())


def test_plain_http_is_sent_to_https(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            answer = await _read_all(await _open(gm, b"GET /a?b=c HTTP/1.1\r\nHost: evil.example\r\n\r\n"))
            assert answer.startswith(b"HTTP/1.1 308")
            assert b"Location: https://127.0.0.1/a?b=c\r\n" in answer

    asyncio.run(scenario())


def test_browser_is_dropped_when_it_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its handshake has all the time that it needs.
    monkeypatch.setattr(browsers, "IDLE_S", 0.5)

    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            answer = await _https(gm, b"GET / HTTP/1.1\r\nHost: gm\r\nX-Slow: ")
            assert answer == b""

    asyncio.run(scenario())


def test_another_server_is_refused_when_one_runs_with_the_directory(tmp_path: Path) -> None:
    from gatelink.exceptions import GatelinkError

    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            with pytest.raises(GatelinkError, match="another `gm serve` runs"):
                await RunningGm(gm.directory, gm.clock).server.start()

    asyncio.run(scenario())


def test_every_port_gets_its_turn_when_there_is_room_for_one_at_a_time() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for listener in listeners:
            listener.setblocking(False)
        ports = [listener.getsockname()[1] for listener in listeners]
        clients = [socket.create_connection(("127.0.0.1", ports[0])) for _ in range(20)]
        clients += [socket.create_connection(("127.0.0.1", ports[1])) for _ in range(3)]
        opens_at = loop.time()
        served: list[int] = []

        def serve(connection: socket.socket, _address: str) -> None:
            nonlocal opens_at
            served.append(connection.getsockname()[1])
            connection.close()
            opens_at = loop.time() + 0.01

        acceptor = Acceptor(listeners, serve, lambda now: max(now, opens_at), lambda: True, lambda _: None)
        await until(lambda: len(served) == len(clients))
        assert served[:10].count(ports[1]) == 3
        acceptor.close()
        for client in clients:
            client.close()

    asyncio.run(scenario())

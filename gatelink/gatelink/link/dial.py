"""Opens TCP connections to the GateManager and races the ways to it.

The next way is started when the one before has failed, or has not succeeded within ``STAGGER_S`` (as RFC 8305 does for
addresses): a firewall that drops silently costs seconds, not the length of a TCP time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from gatelink.exceptions import GatelinkError, LinkError

from .endpoints import Endpoint, Proxy
from .proxy import check_answer, connect_request

STAGGER_S: Final = 2.0
CONNECT_TIMEOUT_S: Final = 10.0
_READ_BYTES: Final = 4096


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


async def open_tcp(endpoint: Endpoint) -> socket.socket:
    """Return a connected non-blocking socket; through the proxy where the endpoint has one.

    Raises LinkError with one clear line. Bounded by ``CONNECT_TIMEOUT_S``.
    """
    target = (endpoint.proxy.host, endpoint.proxy.port) if endpoint.proxy else (endpoint.address, endpoint.port)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            connection = await _connect(*target)
            try:
                if endpoint.proxy:
                    await _open_tunnel(connection, endpoint, endpoint.proxy)
            except BaseException:
                connection.close()
                raise
    except TimeoutError:
        raise LinkError(f"no answer from {endpoint} within {CONNECT_TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise LinkError(f"cannot reach {endpoint}: {_reason(error)}") from None
    return connection


async def race(
    ways: Sequence[Endpoint], attempt: Callable[[Endpoint], Awaitable[C]], stagger_s: float = STAGGER_S
) -> tuple[C, Endpoint]:
    """Try ``attempt`` on each way, best first, and return the first success; later ones are cancelled and closed.

    Raises the error of the only way, or LinkError that lists each way's error.
    """
    running: dict[asyncio.Task[C], Endpoint] = {}
    errors: list[tuple[Endpoint, GatelinkError]] = []
    waiting = list(ways)
    try:
        while waiting or running:
            if waiting:
                way = waiting.pop(0)
                running[asyncio.ensure_future(attempt(way))] = way
            patience_s = stagger_s if waiting else None
            done, _ = await asyncio.wait(running, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: ways.index(running[task])):
                way = running.pop(task)
                try:
                    return task.result(), way
                except GatelinkError as error:
                    errors.append((way, error))
    finally:
        await _discard(running)
    if len(errors) == 1:
        raise errors[0][1]
    told = ((str(way), str(error)) for way, error in errors)
    listed = "; ".join(text if way in text else f"{way}: {text}" for way, text in told)
    listed = listed or "no address of the GateManager is known"
    raise LinkError(f"no way to the GateManager: {listed}")


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    last_error: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            last_error = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise last_error


def _reason(error: OSError) -> str:
    """Return the operating system's words; asyncio puts its own, "Connect call failed", in their place."""
    if error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return error.strerror or str(error)


async def _open_tunnel(connection: socket.socket, endpoint: Endpoint, proxy: Proxy) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, connect_request(endpoint, proxy))
    answer = b""
    while not check_answer(answer, proxy):
        data = await loop.sock_recv(connection, _READ_BYTES)
        if not data:
            raise LinkError(f"the proxy {proxy.host}:{proxy.port} closed the connection")
        answer += data


async def _discard(running: dict[asyncio.Task[C], Endpoint]) -> None:
    """Cancel what lost the race; close what was done in the same moment."""
    for task in running:
        task.cancel()
    for task in running:
        with contextlib.suppress(GatelinkError, asyncio.CancelledError):
            (await task).close()

"""Answers questions for the devices' names on 127.0.0.1: for systemd-resolved or NRPT, which send them here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from lm_client.core.dns import answer


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if self._transport is not None and (said := answer(data, self._addresses)) is not None:
            self._transport.sendto(said, addr)


class Resolver:
    """Looks into ``addresses`` for each question; open between ``open`` and ``close``."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._transport: asyncio.DatagramTransport | None = None
        self.port = 0
        """0 while closed, and where no port could be had: then names are in the hosts file, or nowhere."""

    async def open(self) -> None:
        """Listen on a free port. Never raises: without it the devices have their addresses."""
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(
                lambda: _Protocol(self._addresses), local_addr=("127.0.0.1", 0)
            )
        except OSError:
            return
        self.port = self._transport.get_extra_info("sockname")[1]

    def close(self) -> None:
        """Answer nobody any more."""
        if self._transport is not None:
            self._transport.close()
            self._transport, self.port = None, 0

"""Conversations by TCP whose words are decided in ``core.discovery``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Protocol

from sitemanager.core.discovery import Identity

_READ_BYTES: Final = 8192


class Conversation(Protocol):
    """Says what to send next."""

    is_over: bool

    @property
    def identity(self) -> Identity | None:
        """Who it is, as far as it said."""

    def begin(self) -> bytes:
        """Return the first words."""

    def feed(self, data: bytes) -> bytes | None:
        """Take what came; return what to send next, or None."""


class OneQuestion:
    """A conversation of one question; an answer that is not complete in one piece is waited for."""

    def __init__(self, question: bytes, parse: Callable[[bytes], Identity | None]) -> None:
        self._question = question
        self._parse = parse
        self._data = b""
        self.identity: Identity | None = None
        self.is_over = False

    def begin(self) -> bytes:
        """Return the question."""
        return self._question

    def feed(self, data: bytes) -> bytes | None:
        """Take what came."""
        self._data += data
        self.identity = self._parse(self._data)
        self.is_over = self.identity is not None or len(self._data) > _READ_BYTES
        return None


async def converse(address: str, port: int, conversation: Conversation, timeout_s: float) -> bool:
    """Do it; returns whether somebody listens there at all. Never raises for what a device does."""
    loop = asyncio.get_running_loop()
    connected = False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        try:
            async with asyncio.timeout(timeout_s):
                await loop.sock_connect(sock, (address, port))
                connected = True
                words: bytes | None = conversation.begin()
                while not conversation.is_over:
                    if words:
                        await loop.sock_sendall(sock, words)
                    data = await loop.sock_recv(sock, _READ_BYTES) if words is None else b""
                    if words is None and not data:
                        break
                    words = conversation.feed(data) if data else None
        except (OSError, TimeoutError):
            pass
    return connected

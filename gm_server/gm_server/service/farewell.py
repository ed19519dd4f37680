"""Says no to a visitor so that he can read it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from gatelink.exceptions import GatelinkError, LinkError, Refused, UnknownMessage
from gatelink.messages import Refusal
from gatelink.tls_io import Conversation

_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 256 * 1024


async def refuse(conversation: Conversation, error: GatelinkError) -> None:
    """Send the refusal and close our direction, then throw away what is still under way for a moment.

    A connection that is closed with unread bytes in it is reset, and a reset can wipe out what was not read yet.
    """
    code = error.code if isinstance(error, Refused) else "protocol"
    if isinstance(error, UnknownMessage):
        code = "unknown-message"
    with contextlib.suppress(LinkError, OSError):
        await conversation.send(Refusal(code=code, text=str(error)[:512]))
        with socket.socket(fileno=conversation.tls.detach()) as plain:
            plain.setblocking(False)
            plain.shutdown(socket.SHUT_WR)
            await _throw_away(plain)


async def _throw_away(plain: socket.socket) -> None:
    left_bytes = _LINGER_BYTES
    async with asyncio.timeout(_LINGER_S):
        while left_bytes > 0:
            data = await asyncio.get_running_loop().sock_recv(plain, 16 * 1024)
            if not data:
                return
            left_bytes -= len(data)

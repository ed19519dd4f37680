"""Says no to a visitor so that he can read it."""

from __future__ import annotations

import contextlib
import socket

from gatelink.exceptions import GatelinkError, LinkError, Refused, UnknownMessage
from gatelink.messages import Refusal
from gatelink.tls_io import Conversation


async def refuse(conversation: Conversation, error: GatelinkError) -> None:
    """Send the refusal and end our direction, so that what the other side still sends does not wipe it out."""
    code = error.code if isinstance(error, Refused) else "protocol"
    if isinstance(error, UnknownMessage):
        code = "unknown-message"
    with contextlib.suppress(LinkError, OSError):
        await conversation.send(Refusal(code=code, text=str(error)[:512]))
        conversation.tls.shutdown(socket.SHUT_WR)

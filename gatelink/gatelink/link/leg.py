"""One leg of a session: presents its ticket, ends TLS with the GM, speaks TLS end to end with the far party."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from gatelink.certificates import Credentials
from gatelink.exceptions import LinkError, Refused, TrustError
from gatelink.messages import RELAY_TO_PARTY, RelayHello, RelayJoined
from gatelink.pins import Pin
from gatelink.tls_io import Conversation, handshake
from gatelink.wire import ALPN_RELAY, HANDSHAKE_TIMEOUT_S, TICKET_LIFETIME_S

from .contact import connect_pinned
from .endpoints import Endpoint

_LIMIT_BYTES: Final = 1024


async def open_leg(endpoint: Endpoint, pin: Pin, identity: Credentials, ticket: bytes) -> socket.socket:
    """Return the plain connection that is joined to the other party's leg.

    Raises Refused (ticket used, expired or another's), PinMismatch, LinkError if the far party does not come in time.
    """
    contact = await connect_pinned(endpoint, pin, ALPN_RELAY, identity)
    try:
        async with asyncio.timeout(TICKET_LIFETIME_S):
            conversation = Conversation(contact.tls, _LIMIT_BYTES)
            await conversation.send(RelayHello(ticket=ticket))
            answer = await conversation.receive(RELAY_TO_PARTY)
            if not isinstance(answer, RelayJoined):
                raise Refused(answer.code, answer.text)
            return await conversation.end_tls()
    except TimeoutError:
        raise LinkError(f"the other party did not join the session within {TICKET_LIFETIME_S:.0f} s") from None
    finally:
        # After end_tls the SSLSocket has no descriptor any more: closing it is nothing.
        contact.close()


async def end_to_end(leg: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> ssl.SSLSocket:
    """Do the end-to-end handshake over a joined leg; the result owns the connection.

    Raises TrustError if the other party is not the one whom the GateManager named, LinkError when the leg breaks.
    """
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            return await handshake(leg, context, server_side=server_side)
    except ssl.SSLCertVerificationError:
        raise TrustError("the other end of the session presented another certificate than was announced") from None
    except ssl.SSLError as error:
        raise LinkError(f"the other end of the session broke off TLS ({error.reason or error})") from None
    except TimeoutError:
        leg.close()
        raise LinkError(f"the other end did not answer within {HANDSHAKE_TIMEOUT_S:.0f} s") from None

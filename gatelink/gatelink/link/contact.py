"""A TLS connection to the GateManager, judged by its pin; and the first contact, where there is none.

With a pin OpenSSL itself refuses any other certificate before ours is sent. What then happens: the same endpoint is
asked, without a certificate of ours, who it is. Either its succession statements lead from the pinned key to the one
it has, and the new pin is used from then on, or the attempt ends with PinMismatch, which names both.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import msgspec

from gatelink.certificates import Credentials
from gatelink.exceptions import GatelinkError, LinkError, ProtocolError
from gatelink.messages import HELLO_TO_PARTY, GmHello, Refusal, SuccessionStatement
from gatelink.pins import Pin, follow
from gatelink.tls import first_contact_context, pinned_context
from gatelink.tls_io import Conversation, handshake
from gatelink.wire import ALPN_HELLO, HANDSHAKE_TIMEOUT_S, MAX_FRAME_BYTES

from .dial import open_tcp
from .endpoints import Endpoint

_HELLO_TIMEOUT_S: Final = 3.0
"""The GM sends its hello at once; who is in between may just be silent, and a person waits for the answer."""


class Contact(msgspec.Struct, frozen=True):
    """An authenticated connection and the pin by which it was judged: another one after a succession."""

    tls: ssl.SSLSocket
    pin: Pin

    def close(self) -> None:
        """Close the connection."""
        self.tls.close()


async def first_contact(endpoint: Endpoint, protocol: str) -> tuple[ssl.SSLSocket, bytes]:
    """Connect without a pin; return the connection and the certificate (DER) that was presented."""
    tls = await _handshake(endpoint, first_contact_context(protocol))
    certificate = tls.getpeercert(binary_form=True)
    if certificate is None:
        tls.close()
        raise LinkError(f"{endpoint} presented no certificate")
    return tls, certificate


async def connect_pinned(endpoint: Endpoint, pin: Pin, protocol: str, identity: Credentials | None) -> Contact:
    """Connect to the holder of the pinned key, or of one that follows it by valid statements.

    Raises PinMismatch (``presented`` says what came), LinkError.
    """
    try:
        tls = await _handshake(endpoint, pinned_context(pin, protocol, identity))
    except ssl.SSLCertVerificationError:
        pin = await _successor(endpoint, pin)
        try:
            tls = await _handshake(endpoint, pinned_context(pin, protocol, identity))
        except ssl.SSLCertVerificationError:
            raise LinkError(f"{endpoint} changes its certificate from one connection to the next") from None
    try:
        pin.check(tls.getpeercert(binary_form=True) or b"")
    except GatelinkError:
        tls.close()
        raise
    return Contact(tls, pin)


async def ask_hello(endpoint: Endpoint) -> tuple[GmHello | None, bytes]:
    """Ask who is there, presenting nothing: its hello (None if it does not speak our language) and certificate."""
    tls, certificate = await first_contact(endpoint, ALPN_HELLO)
    try:
        async with asyncio.timeout(_HELLO_TIMEOUT_S):
            message = await Conversation(tls, MAX_FRAME_BYTES).receive(HELLO_TO_PARTY)
    except (LinkError, ProtocolError, TimeoutError):
        return None, certificate
    finally:
        tls.close()
    return (None if isinstance(message, Refusal) else message), certificate


async def _successor(endpoint: Endpoint, pin: Pin) -> Pin:
    hello, presented = await ask_hello(endpoint)
    statements: tuple[SuccessionStatement, ...] = hello.statements if hello else ()
    return follow(pin, statements, presented)


async def _handshake(endpoint: Endpoint, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Dial and do the handshake; every failure but a refused certificate is a LinkError."""
    connection = await open_tcp(endpoint)
    server_name = endpoint.address
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            return await handshake(connection, context, server_side=False, server_name=server_name)
    except ssl.SSLCertVerificationError:
        raise
    except TimeoutError:
        connection.close()
        raise LinkError(f"{endpoint} does not answer with TLS within {HANDSHAKE_TIMEOUT_S:.0f} s") from None
    except ssl.SSLError as error:
        raise LinkError(f"{endpoint} answers, but not as a GateManager ({error.reason or error})") from None

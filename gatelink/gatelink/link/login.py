"""The dialling side of a login that asks a person: a name and a password, and a second factor, become a certificate.

A ``Prompt`` is all that a program gives: it shows what the GateManager asks and returns what the person typed. The
keeper takes the same prompt for logins with a certificate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from gatelink.certificates import key_sha256
from gatelink.exceptions import LinkError, ProtocolError, Refused
from gatelink.messages import (
    LOGIN_TO_PARTY,
    Enrolled,
    LoginAnswer,
    LoginChallenge,
    LoginResend,
    LoginToParty,
    PasswordLogin,
    Ping,
    Pong,
    Refusal,
)
from gatelink.pins import Pin
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_LOGIN, KEEPALIVE_S, LOGIN_TIMEOUT_S

from .contact import connect_pinned
from .dial import STAGGER_S, race
from .endpoints import Endpoint
from .enrolment import Enrolment

if TYPE_CHECKING:
    from gatelink.identity import PrivateKey

Prompt: TypeAlias = Callable[[LoginChallenge], Awaitable[LoginAnswer | LoginResend]]
"""Asked again for every challenge: after a wrong code, after another message was asked for. It may raise GatelinkError
when the person gives up; it is cancelled when the GateManager ends the login."""
_LIMIT_BYTES: Final = 16 * 1024


async def password_login(
    ways: Sequence[Endpoint],
    pin: Pin,
    user: str,
    password: str,
    key: PrivateKey,
    software: str,
    prompt: Prompt,
    stagger_s: float = STAGGER_S,
) -> Enrolment:
    """Log in without a certificate; return one that is good for some hours, for the keeper and the legs.

    Key and certificate are to be held in memory alone. Raises Refused (``login``: wrong, or not allowed to this
    account; ``try-later``), PinMismatch, LinkError, and what ``prompt`` raises.
    """
    from gatelink.identity import Identity, make_request, own_key_sha256  # late: see ``gatelink.certificates``

    contact, _ = await race(ways, lambda way: connect_pinned(way, pin, ALPN_LOGIN, None), stagger_s)
    try:
        conversation = Conversation(contact.tls, _LIMIT_BYTES)
        await conversation.send(PasswordLogin(user=user, password=password, csr=make_request(key), software=software))
        answer = await _hear(conversation)
        while isinstance(answer, LoginChallenge):
            await conversation.send(await _ask(conversation, prompt, answer))
            answer = await _hear(conversation)
    finally:
        contact.close()
    if isinstance(answer, Refusal):
        raise Refused(answer.code, answer.text)
    if not isinstance(answer, Enrolled):
        raise ProtocolError(f"expected a certificate from the GateManager, got {type(answer).__name__}")
    if key_sha256(answer.certificate) != own_key_sha256(key):
        raise ProtocolError("the GateManager returned a certificate for another key")
    return Enrolment(contact.pin, Identity(answer.certificate, key), answer.peer_id, answer.name, answer.domain)


async def _hear(conversation: Conversation) -> LoginToParty:
    """Return the GM's next word that is no keepalive."""
    try:
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            while isinstance(message := await conversation.receive(LOGIN_TO_PARTY), Ping | Pong):
                if isinstance(message, Ping):
                    await conversation.send(Pong(token=message.token))
            return message
    except TimeoutError:
        raise LinkError(f"the GateManager did not answer the login within {LOGIN_TIMEOUT_S:.0f} s") from None


async def _ask(conversation: Conversation, prompt: Prompt, challenge: LoginChallenge) -> LoginAnswer | LoginResend:
    """Ask the person, with signs of life meanwhile: firewalls forget connections on which nothing moves."""
    asking = asyncio.ensure_future(prompt(challenge))
    try:
        async with asyncio.timeout(challenge.expires_s):
            while not (await asyncio.wait({asking}, timeout=KEEPALIVE_S))[0]:
                await conversation.send(Ping(token=0))
            return asking.result()
    except TimeoutError:
        raise LinkError("no code was entered in time: log in again") from None
    finally:
        asking.cancel()

"""login: the conversation of a LinkManager that has no certificate. Parses what strangers send."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from sqlalchemy.orm import Session

from gatelink.exceptions import GatelinkError, ProtocolError, Refused
from gatelink.identity import Identity, request_key_sha256
from gatelink.messages import LOGIN_TO_GM, Enrolled, PasswordLogin
from gatelink.tls_io import Conversation
from gatelink.wire import LOGIN_TIMEOUT_S
from gm_server.access.actors import Actor
from gm_server.accounts.attempts import Attempt
from gm_server.accounts.issuing import issue_for_login
from gm_server.accounts.login import Knock, Logins
from gm_server.database.store import Store
from gm_server.frontdoor.places import group_of
from gm_server.frontdoor.visitor import Visitor

from .challenges import ask_for_factor
from .farewell import refuse

_LIMIT_BYTES: Final = 16 * 1024


class LoginDoor:
    """Answers ``gatelink-login/1``. ``clock`` is Unix time."""

    def __init__(self, store: Store, logins: Logins, authority: Identity, clock: Callable[[], float]) -> None:
        self._store = store
        self._logins = logins
        self._authority = authority
        self._clock = clock

    async def __call__(self, visitor: Visitor) -> None:
        """Hold one login's conversation and close."""
        conversation = Conversation(visitor.tls, _LIMIT_BYTES)
        try:
            await self._converse(visitor, conversation)
        except GatelinkError as error:
            await refuse(conversation, error)
            raise
        except TimeoutError:
            raise Refused("timeout", f"did not log in within {LOGIN_TIMEOUT_S:.0f} s") from None
        finally:
            visitor.tls.close()

    async def _converse(self, visitor: Visitor, conversation: Conversation) -> None:
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            login = await conversation.receive(LOGIN_TO_GM)
            if not isinstance(login, PasswordLogin):
                raise ProtocolError("expected password-login first")
            request_key_sha256(login.csr)
            group = group_of(visitor.address)
            knock = Knock(login.password, "lm", visitor.address, group, name=login.user)
            attempt = await self._logins.begin(knock)
        visitor.admitted()
        key = secrets.token_bytes(16)
        await ask_for_factor(conversation, LOGIN_TO_GM, self._logins, attempt, key, self._clock)
        certificate = await self._store.write(self._admit, attempt, login, self._clock())
        self._logins.remember_place(attempt, group)
        person = attempt.person
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            await conversation.send(
                Enrolled(certificate=certificate, peer_id=person.user_id, name=person.name, domain=person.domain)
            )

    def _admit(self, session: Session, attempt: Attempt, login: PasswordLogin, now: float) -> bytes:
        person = attempt.person
        by = Actor(person.user_id, person.name, (), "lm", attempt.address)
        self._logins.passed(session, attempt, by, now, software=login.software)
        return issue_for_login(session, person, login.csr, login.software, self._authority, by, now)

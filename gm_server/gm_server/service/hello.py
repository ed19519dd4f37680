"""hello: says who this GateManager is, and how its certificate came to follow earlier ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.identity import Identity, key_sha256
from gatelink.messages import GmHello, SuccessionStatement
from gatelink.tls_io import send
from gatelink.wire import LOGIN_TIMEOUT_S
from gm_server.database.store import Store
from gm_server.database.tables import Succession
from gm_server.frontdoor.visitor import Visitor

MAX_STATEMENTS: Final = 32


class Hello:
    """Answers ``gatelink-hello/1``."""

    def __init__(self, name: str, store: Store, clock: Callable[[], float]) -> None:
        self._name = name
        self._store = store
        self._clock = clock

    async def __call__(self, visitor: Visitor) -> None:
        """Send the hello and close."""
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_S):
                statements = await self._store.read(statements_to, visitor.identity)
                hello = GmHello(name=self._name, unix_time_s=self._clock(), statements=tuple(statements))
                await send(visitor.tls, hello)
        finally:
            visitor.tls.close()


def statements_to(session: Session, identity: Identity) -> Sequence[SuccessionStatement]:
    """Return the statements that lead to the certificate in use, oldest first.

    Walked backwards from it: a statement for a certificate that was never put to use leads nowhere and is left out.
    """
    by_key = {
        key_sha256(record.new_certificate): record
        for record in session.scalars(select(Succession).order_by(Succession.id))
        if record.new_certificate
    }
    chain: list[SuccessionStatement] = []
    key = key_sha256(identity.certificate)
    while key in by_key and len(chain) < MAX_STATEMENTS:
        record = by_key.pop(key)
        chain.append(SuccessionStatement(record.old_key_sha256, record.new_certificate, record.signature))
        key = record.old_key_sha256
    return chain[::-1]

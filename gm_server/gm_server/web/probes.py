"""What machines ask: whether the server is ready to serve, and its figures.

``/readyz`` says yes or no and nothing else, to anybody. ``/metrics`` is for an API token (``Authorization: Bearer``) of
somebody who sees the whole server; for all others there is nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from gatelink.exceptions import GatelinkError
from gm_server.access.actors import Permission
from gm_server.access.tokens import actor_of_token
from gm_server.accounts.throttle import Throttle
from gm_server.database.store import Store
from gm_server.frontdoor.places import group_of

_FREE_ATTEMPTS: Final = 20


class Probes:
    """``render`` gives the figures and their content type; ``clock`` is Unix time."""

    def __init__(
        self, store: Store, render: Callable[[], Awaitable[bytes]], content_type: str, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._render = render
        self._content_type = content_type
        self._clock = clock
        self._by_address = Throttle(_FREE_ATTEMPTS)

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes."""
        return (Route("/readyz", self.ready, methods=["GET"]), Route("/metrics", self.metrics, methods=["GET"]))

    async def ready(self, _request: Request) -> Response:
        """Say whether the records can be read: without them nobody is let in."""
        try:
            await self._store.read(_look)
        except GatelinkError:
            return PlainTextResponse("the records cannot be read\n", 503)
        return PlainTextResponse("ready\n")

    async def metrics(self, request: Request) -> Response:
        """Give the figures to whom they are for."""
        address = request.client.host if request.client is not None else ""
        group, now = group_of(address) if address else "", self._clock()
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secret.strip() or self._by_address.wait_s(group, now) > 0:
            return _nothing()
        self._by_address.attempt(group, now)
        if not await self._store.read(_may_see_all, secret.strip(), address, now):
            return _nothing()
        self._by_address.forget(group)
        return Response(await self._render(), headers={"Content-Type": self._content_type})


def _nothing() -> Response:
    return PlainTextResponse("not found\n", 404)


def _look(session: Session) -> None:
    session.execute(text("SELECT 1 FROM alembic_version"))


def _may_see_all(session: Session, secret: str, address: str, now: float) -> bool:
    found = actor_of_token(session, secret, address, now)
    return found is not None and found[0].may(Permission.SEE, None)

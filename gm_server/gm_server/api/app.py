"""Serves the API. Who acts, what he asks for and what is done are decided in one transaction."""

from __future__ import annotations

import hashlib
import inspect
import logging
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from gatelink.exceptions import GatelinkError
from gm_server.access.tokens import NOTE_EVERY_S, SCOPES, actor_of_token, note_use
from gm_server.acts.audit import ExportFile
from gm_server.database.store import Store
from gm_server.exceptions import Forbidden
from gm_server.frontdoor.places import group_of

from .endpoints import Call, Endpoint, Reach
from .limits import Buckets
from .openapi import BASE, document
from .page import page
from .problems import HttpError, problem, problem_of
from .reading import bearer_secret, check_is_file, read_body, read_query, read_tags, unauthorized
from .resources import ENDPOINTS
from .tags import tag_of

UNKNOWN_PER_S: Final = 1.0
UNKNOWN_BURST: Final = 60.0
"""Requests without a good token from one address. Good tokens are not slowed by the bad ones beside them."""
BURST_S: Final = 10.0
"""A token may use up the requests of so many seconds at once."""
_log = logging.getLogger("gm.api")


class _Asked(msgspec.Struct, frozen=True):
    """A request before anybody knows who made it."""

    secret: str
    address: str
    names: dict[str, str]
    query: Any
    body: Any
    tags: tuple[str, ...] | None


class _Done(msgspec.Struct, frozen=True):
    result: Any
    tag: str | None
    token_id: str
    user_id: str


class Api:
    """The application. ``clock`` is Unix time, ``per_s`` how many requests a second a token may make."""

    def __init__(self, store: Store, reach: Reach, clock: Callable[[], float], stylesheet: str, per_s: float) -> None:
        self._store = store
        self._reach = reach
        self._clock = clock
        self._by_token = Buckets(per_s, per_s * BURST_S)
        self._unknown = Buckets(UNKNOWN_PER_S, UNKNOWN_BURST)
        self._noted: dict[str, float] = {}
        self._document = msgspec.json.encode(document())
        self._page = page(stylesheet)
        self.routes: list[BaseRoute] = [
            Route("/", self._show_page, methods=["GET"]),
            Route("/openapi.json", self._show_document, methods=["GET"]),
        ]
        by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in ENDPOINTS:
            by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        # Addresses without names first: /sessions/end is no session.
        for path, endpoints in sorted(by_path.items(), key=lambda entry: entry[0].count("{")):
            self.routes.append(_EveryMethod(path, self._serve(endpoints)))
        self._router = Router(self.routes, default=self._nowhere, redirect_slashes=False)

    def mount(self) -> Mount:
        """Return the application at its address."""
        mount = Mount(BASE, app=self)
        # Also for what no address is: a line break in it is not the portal's to answer.
        mount.path_regex = re.compile(f"^{BASE}/(?P<path>.*)$", re.DOTALL)
        return mount

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; whatever happens is answered as a problem."""
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:
            await problem(error.status_code, error.detail, error.headers)(scope, receive, send)

    async def _show_page(self, _request: Request) -> Response:
        return HTMLResponse(self._page)

    async def _show_document(self, _request: Request) -> Response:
        return Response(self._document, media_type="application/json")

    async def _nowhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        await problem(404, f"there is nothing at this address; {BASE}/ lists what there is")(scope, receive, send)

    def _serve(self, endpoints: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
        allowed = ", ".join(sorted(endpoints))

        async def serve(request: Request) -> Response:
            endpoint = endpoints.get(request.method)
            if endpoint is None:
                return problem(405, f"this address has {allowed}", {"Allow": allowed})
            try:
                return await self._answer(endpoint, request)
            except HttpError as error:
                return problem(error.status, str(error), error.headers)
            except GatelinkError as error:
                return problem_of(error)
            except Exception:  # noqa: BLE001 - whatever it is: who asked is answered, the log has the reason
                _log.exception("%s failed", endpoint.name)
                return problem(500, "the GateManager could not do this; its log says why")

        return serve

    async def _answer(self, endpoint: Endpoint, request: Request) -> Response:
        now = self._clock()
        secret = bearer_secret(request)
        address = request.client.host if request.client is not None else ""
        token_key = hashlib.sha256(secret.encode()).digest()
        self._admit(token_key, group_of(address) if address else "", now)
        asked = _Asked(
            secret=secret,
            address=address,
            names=dict(request.path_params),
            query=read_query(request, endpoint.query),
            body=await read_body(request, endpoint.body) if endpoint.body is not None else None,
            tags=read_tags(request) if endpoint.current is not None else None,
        )
        try:
            if endpoint.admit is None:
                done = await self._do(endpoint, asked, now)
            else:
                done = await self._take_in(endpoint, endpoint.admit, asked, request)
        except HttpError as error:
            if error.status == 401:
                self._unknown.take(group_of(address) if address else "", now)
            raise
        self._by_token.take(token_key, now)
        if hasattr(request.state, "known_as"):
            request.state.known_as(done.user_id)
        await self._note(done.token_id, now)
        result = done.result if endpoint.finish is None else endpoint.finish(self._reach.live, done.result)
        if inspect.isawaitable(result):
            result = await result
        if endpoint.file:
            return self._send(result)
        headers = {"ETag": done.tag} if done.tag is not None else {}
        if endpoint.created:
            headers["Location"] = BASE + endpoint.created.format(id=result.id)
        if endpoint.answer is None:
            return Response(status_code=204, headers=headers)
        return Response(msgspec.json.encode(result), endpoint.status, headers, "application/json")

    def _send(self, file: ExportFile) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            while (piece := await self._store.read(file.pages.page)) is not None:
                yield piece

        headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
        return StreamingResponse(pieces(), headers=headers, media_type=file.media_type)

    async def _do(self, endpoint: Endpoint, asked: _Asked, now: float) -> _Done:
        run = self._store.write if endpoint.writes else self._store.read
        return await run(self._work, endpoint, asked, now, self._reach.live.online_ids())

    async def _take_in(
        self, endpoint: Endpoint, admit: Callable[[Session, Call], None], asked: _Asked, request: Request
    ) -> _Done:
        """Receive a file, once it is sure that its sender may send it; then who he is and may is asked again."""
        check_is_file(request)
        admitted = msgspec.structs.replace(endpoint, work=admit)
        known = await self._store.read(self._work, admitted, asked, self._clock())
        if hasattr(request.state, "known_as"):
            request.state.known_as(known.user_id)
        goes_on = getattr(request.state, "goes_on", _nothing)
        try:
            async with self._reach.live.uploads.receive(request.stream(), goes_on) as received:
                return await self._do(endpoint, msgspec.structs.replace(asked, body=received), self._clock())
        except ClientDisconnect:
            raise HttpError(400, "the body did not come") from None
        except TimeoutError:
            raise HttpError(408, "the body took too long") from None

    def _admit(self, token_key: bytes, group: str, now: float) -> None:
        """Raise HttpError (429) for who asks too often; nothing is read of the records for him."""
        known = token_key in self._by_token
        wait_s = self._by_token.wait_s(token_key, now) if known else self._unknown.wait_s(group, now)
        if wait_s > 0:
            raise HttpError(429, "too many requests: ask more slowly", {"Retry-After": str(math.ceil(wait_s))})

    def _work(
        self, session: Session, endpoint: Endpoint, asked: _Asked, now: float, online: frozenset[str] = frozenset()
    ) -> _Done:
        found = actor_of_token(session, asked.secret, asked.address, now)
        if found is None:
            raise unauthorized("the token is unknown, over or revoked, or its user is disabled")
        by, token_id = found
        if by.scopes is not None and SCOPES[endpoint.scope] not in by.scopes:
            raise Forbidden(f"this needs a token with the scope {endpoint.scope}")
        sender, letters = self._reach.sender(), self._reach.letters()
        files = self._reach.live.uploads.files
        identity, gatemanager = self._reach.identity(), self._reach.gatemanager
        call = Call(
            by, now, asked.names, asked.query, asked.body, online, sender, letters, files, identity, gatemanager
        )
        if asked.tags is not None and endpoint.current is not None:
            current = tag_of(endpoint.current(session, call))
            if current not in asked.tags:
                raise HttpError(412, "somebody changed it meanwhile: read it again")
        result = endpoint.work(session, call)
        return _Done(result, tag_of(result) if endpoint.is_tagged else None, token_id, by.user_id)

    async def _note(self, token_id: str, now: float) -> None:
        if now - self._noted.get(token_id, -math.inf) >= NOTE_EVERY_S:
            if len(self._noted) > 4096:
                self._noted.clear()
            self._noted[token_id] = now
            await self._store.note(note_use, token_id, now)


def _nothing() -> None:
    """Nobody is waiting."""


class _EveryMethod(Route):
    """A route that answers every method by itself, so that a wrong one is told which there are."""

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        super().__init__(path, endpoint, methods=None)
        self.methods = set()

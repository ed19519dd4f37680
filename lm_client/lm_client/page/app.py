"""The pages and what their buttons do. Every change is a form that leads back to a page; script only makes it live."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from gatelink.exceptions import GatelinkError, InputError
from gatelink.identity import from_pkcs12
from lm_client.core.local import (
    Access,
    ApplianceView,
    AskForAccess,
    ConnectedTo,
    ConnectTo,
    DeviceView,
    Disconnected,
    DisconnectFrom,
    Done,
    Logout,
    Status,
)
from lm_client.exceptions import NoCode
from lm_client.home import Home, be_user
from lm_client.pictures import invitation_in
from lm_client.redeeming import (
    MAX_FILE_BYTES,
    MAX_INVITATION_CHARACTERS,
    check_free,
    check_new_password,
    import_data,
    parse_invitation,
    redeem,
)

from .desk import Desk
from .desks import Desks
from .forms import Form, read_form, read_pixels
from .guard import ENTRANCE, Guard
from .keys import Door
from .showing import Shelf

_INSTEAD: Final = "choose another profile"
_LOG_LINES: Final = 300
_LOG_BYTES: Final = 128 * 1024
_BEAT_S: Final = 15.0
MIN_HOURS: Final = 0.25
MAX_HOURS: Final = 31 * 24.0
Do = Callable[[Form], Awaitable[str]]


class Pages:
    """Everything behind the guard."""

    def __init__(self, desk: Desk, door: Door, port: int) -> None:
        self._desks = Desks(desk)
        self._door = door
        self._shelf = Shelf()
        self.last_used = time.monotonic()
        routes = [
            Route(ENTRANCE, self._enter),
            Route("/", self._machines),
            Route("/log", self._log),
            Route("/about", self._about),
            Route("/profiles", self._profiles),
            Route("/live", self._live),
            Route("/static/{name}", self._shelf.serve),
            Route("/qr", self._read_qr, methods=["POST"]),
            *(
                Route(path, self._post(do), methods=["POST"])
                for path, do in {
                    "/toggle": self._toggle,
                    "/favourite": self._favourite,
                    "/connect": self._connect,
                    "/disconnect": self._disconnect,
                    "/access": self._ask_for_access,
                    "/redeem": self._redeem,
                    "/import": self._import,
                    "/profile": self._show_profile,
                    "/login": self._log_in,
                    "/code": self._give_code,
                    "/again": self._send_again,
                    "/give-up": self._give_up,
                    "/logout": self._log_out,
                }.items()
            ),
        ]
        self._app = Starlette(routes=routes)
        self.guarded = Guard(self._app, port, door)

    @property
    def _desk(self) -> Desk:
        """The one that is shown now."""
        return self._desks.now

    # pages

    async def _enter(self, request: Request) -> Response:
        if not self._door.opens(request.query_params.get("word", ""), time.time()):
            return PlainTextResponse("This link was used already, or is too old. Open the page with: lm ui\n", 403)
        response = RedirectResponse("/", 303)
        response.set_cookie(self.guarded.cookie_name, self._door.cookie, httponly=True, samesite="strict", path="/")
        return response

    async def _machines(self, request: Request) -> Response:
        await self._desk.refresh(at_once=False)
        if self._desk.status is None:
            return self._alone()
        query = request.query_params.get("q", "")[:100].strip()
        tree = self._desk.tree
        chosen = tree.by_id.get(request.query_params.get("at", ""))
        rows = tree.search(query) if query else tree.rows(self._desk.toggled)
        favourites = [found for each in self._desk.favourites.ids if (found := tree.by_id.get(each))]
        if chosen is None and len(tree.appliances) == 1:
            chosen = tree.appliances[0]
        return self._page(
            "machines.html",
            query=query,
            rows=rows,
            chosen=chosen,
            devices=_devices(chosen, self._desk.status) if chosen else (),
            favourites=favourites,
            at="machines",
        )

    async def _log(self, _request: Request) -> Response:
        await self._desk.refresh(at_once=False)
        lines = await asyncio.to_thread(_last_lines, self._desk.home)
        return self._page("log.html", lines=lines, at="log")

    async def _about(self, _request: Request) -> Response:
        await self._desk.refresh(at_once=False)
        return self._page("about.html", at="about")

    async def _profiles(self, _request: Request) -> Response:
        await self._desk.refresh(at_once=False)
        return self._page("profiles.html", views=await self._desks.views(), at="profiles")

    def _alone(self) -> Response:
        """The login, or what has to come before it."""
        desk = self._desk
        has_profile = desk.home.read(desk.home.profile_path) is not None
        profile = desk.home.profile() if has_profile else None
        return self._page("login.html", profile=profile, challenge=desk.challenge, at="login")

    def _page(self, template: str, **values: Any) -> Response:
        desk = self._desk
        self.last_used = time.monotonic()
        return self._shelf.page(template, **self._common(), notices=desk.notices, **values)

    def _common(self) -> dict[str, Any]:
        desk = self._desk
        status = desk.status
        sessions = {each.appliance_id: each for each in status.sessions} if status else {}
        requests = {each.appliance_id: each for each in status.requests} if status else {}
        return {
            "desk": desk,
            "are_several": self._desks.are_several,
            "status": status,
            "connected": sessions,
            "requests": requests,
            "favourite_ids": desk.favourites.ids,
            "pictures": {name: history.picture() for name, history in desk.histories.items()},
        }

    # what goes on

    async def _live(self, request: Request) -> Response:
        return StreamingResponse(self._events(request), media_type="text/event-stream")

    async def _events(self, request: Request) -> AsyncIterator[str]:
        """Say which parts are other ones; ``stale`` asks for the whole page again."""
        version = request.query_params.get("version", "")
        while not await request.is_disconnected():
            async with aclosing(self._events_of(self._desk, request, version)) as events:
                async for event in events:
                    yield event
            version = ""

    async def _events_of(self, desk: Desk, request: Request, version: str) -> AsyncGenerator[str]:
        """The same, until another desk is shown or the browser is gone."""
        shown: dict[str, str] = {}
        beat = time.monotonic()
        async with aclosing(desk.watch()) as looks:
            async for _ in looks:
                if desk is not self._desk or await request.is_disconnected():
                    return
                self.last_used = time.monotonic()
                if version != str(desk.version):
                    yield "event: stale\ndata: \n\n"
                version = str(desk.version)
                if desk.status is not None:
                    for part in ("bar", "sessions"):
                        html = self._shelf.text(f"_{part}.html", **self._common())
                        if shown.get(part) != html:
                            if part in shown:
                                yield f"event: part\ndata: {json.dumps({'id': part, 'html': html})}\n\n"
                            shown[part] = html
                if time.monotonic() - beat > _BEAT_S:
                    beat = time.monotonic()
                    yield ": still here\n\n"

    # changes

    def _post(self, do: Do) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            where = "/"
            self._desk.begin()
            self.last_used = time.monotonic()
            try:
                form = await read_form(request)
                if do != self._show_profile:
                    self._check_shown(form)
                where = await do(form)
            except GatelinkError as error:
                self._desk.tell(str(error), "bad")
                where = _back(request)
            self._desk.touch()
            return RedirectResponse(where, 303)

        return serve

    def _check_shown(self, form: Form) -> None:
        """Raise InputError if the form is of a page that shows another profile than is shown now."""
        if form.has("profile") and form.text("profile") != self._desk.name:
            raise InputError("another profile was chosen in another window meanwhile: nothing was done")

    async def _toggle(self, form: Form) -> str:
        self._desk.toggled ^= {form.text("domain")}
        return _here(form)

    async def _favourite(self, form: Form) -> str:
        self._desk.favourites.toggle(form.text("appliance"))
        return _here(form)

    async def _connect(self, form: Form) -> str:
        wanted = ConnectTo(
            target="/".join(filter(None, (form.text("appliance"), form.text("device")))),
            reason=form.text("reason"),
            insist=form.is_on("insist"),
            bridged=form.is_on("bridged"),
            plant_address=form.text("plant", 18) if form.is_on("bridged") else "",
        )
        answer = await self._desk.ask(wanted, ConnectedTo)
        await self._desk.refresh()
        if answer.key_is_new:
            self._desk.tell(
                f"First session with {answer.session.name}. Its key: {answer.session.key_fingerprint}. "
                "Compare it with the SiteManager's own page.",
                "warn",
            )
        for warning in answer.warnings:
            self._desk.tell(warning, "warn")
        return _here(form)

    async def _disconnect(self, form: Form) -> str:
        await self._desk.ask(DisconnectFrom(target=form.text("appliance") or None), Disconnected)
        await self._desk.refresh()
        return _here(form)

    async def _ask_for_access(self, form: Form) -> str:
        try:
            hours = float(form.text("hours") or 4)
        except ValueError:
            raise InputError("for how long: expected a number of hours") from None
        wanted = AskForAccess(
            target=form.text("appliance"),
            reason=form.text("reason"),
            device_ids=form.every("device"),
            duration_s=(hours if MIN_HOURS <= hours <= MAX_HOURS else MIN_HOURS) * 3600,
        )
        answer = await self._desk.ask(wanted, Access)
        self._desk.tell(f"Asked for access to {answer.access.name}. This page says when somebody has decided.")
        await self._desk.refresh()
        return _here(form)

    async def _redeem(self, form: Form) -> str:
        password = form.secret("password")
        if password != form.secret("again"):
            raise InputError("the two passwords are not the same: nothing was done")
        check_new_password(password)
        check_free(self._desk.home, _INSTEAD)
        claim = parse_invitation(form.text("invitation", MAX_INVITATION_CHARACTERS))
        profile, pin = await asyncio.to_thread(redeem, self._desk.home, claim, password)
        self._desk.tell(f"This PC is {profile.user}'s now. GateManager: {pin.describe()}; locked to it from now on.")
        await self._desk.log_in(password)
        return "/"

    async def _read_qr(self, request: Request) -> Response:
        """Answer with the invitation that a picture shows, or with why there is none."""
        self.last_used = time.monotonic()
        try:
            picture = await read_pixels(request)
            text = await asyncio.to_thread(invitation_in, picture)
        except InputError as error:
            return JSONResponse({"refusal": str(error), "found": not isinstance(error, NoCode)})
        claim = parse_invitation(text)
        return JSONResponse({"text": text, "user": claim.user or "you", "address": claim.addresses[0]})

    async def _import(self, form: Form) -> str:
        check_free(self._desk.home, _INSTEAD)
        password = form.secret("password")
        try:
            data = b64decode(form.text("file", MAX_FILE_BYTES * 4 // 3 + 4), validate=True)
        except ValueError:
            data = b""
        if not data:
            raise InputError("choose the certificate file (.p12) that you were given")
        await asyncio.to_thread(from_pkcs12, data, password)  # a wrong password or file is told before it is kept
        import_data(self._desk.home, data, (form.text("gm", 253),), "this")
        await self._desk.log_in(password)
        return "/"

    async def _show_profile(self, form: Form) -> str:
        name = form.text("make", 64)
        self._desks.show(name or form.text("name", 64), make=bool(name))
        return "/"

    async def _log_in(self, form: Form) -> str:
        if user := form.text("user", 128):
            be_user(self._desk.home, user, (form.text("gm", 253),))
        await self._desk.log_in(form.secret("password"))
        return "/"

    async def _give_code(self, form: Form) -> str:
        await self._desk.give_code(form.text("kind", 20), form.text("code", 64))
        return "/"

    async def _send_again(self, _form: Form) -> str:
        await self._desk.send_again()
        return "/"

    async def _give_up(self, _form: Form) -> str:
        await asyncio.to_thread(self._desk.give_up)
        return "/"

    async def _log_out(self, _form: Form) -> str:
        await self._desk.ask(Logout(), Done)
        await self._desk.refresh()
        return "/"


def _devices(appliance: ApplianceView, status: Status) -> tuple[DeviceView, ...]:
    """Return a session's devices with the last checks of the tree, or, without a session, the tree's."""
    checks = {device.device_id: device for device in appliance.devices}
    for session in status.sessions:
        if session.appliance_id == appliance.appliance_id and session.state == "up":
            return tuple(
                msgspec.structs.replace(
                    device, reachable=seen.reachable, check_text=seen.check_text, checked_at=seen.checked_at
                )
                if (seen := checks.get(device.device_id))
                else device
                for device in session.devices
            )
    return appliance.devices


def _here(form: Form) -> str:
    """Return the page with the machine and the search that it had."""
    at, query = form.text("at", 64), form.text("q", 100)
    words = [f"{name}={quote(value)}" for name, value in (("at", at), ("q", query)) if value]
    return "/?" + "&".join(words) if words else "/"


def _back(request: Request) -> str:
    """Return the page from which a form was sent: our own origin is checked before."""
    _, _, path = request.headers.get("referer", "").partition(request.headers["host"])
    return path if path.startswith("/") and not path.startswith("//") else "/"


def _last_lines(home: Home) -> list[str]:
    try:
        with home.log_path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-_LOG_LINES:][::-1]

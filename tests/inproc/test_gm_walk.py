"""The walk: every route and every message, as everybody, about what lies in tundra. The table is ``gm_walk_table``."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import http.client
import json
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.routing import Mount, Route

from gatelink.exceptions import GatelinkError
from gatelink.identity import self_signed
from gm_server.access.tokens import SCOPES, make_token
from gm_server.accounts.web_sessions import open_session
from gm_server.acts import appliances, claims, devices, domains, grants, groups, invitations, relays, roles, users
from gm_server.acts.appliances import ApplianceChange
from gm_server.acts.devices import NewDevice, ServicePorts
from gm_server.acts.grants import NewGrant
from gm_server.acts.users import NewUser
from gm_server.api.resources import ENDPOINTS
from gm_server.appliances import rollouts
from gm_server.appliances.rollouts import Terms
from gm_server.config import Limits
from gm_server.database.tables import (
    AccessRequest,
    Alarm,
    AuditEntry,
    Grant,
    SessionRecord,
    User,
    UserCertificate,
    WaitingAppliance,
)
from gm_server.web.forms import csrf_token
from gm_server.web.visitors import COOKIE, cookie_text
from inproc.firmware_bundles import bundle_bytes, keep
from inproc.gm_people import CONSOLE, ROLES, SENDER, World, actor, people, settle
from inproc.gm_running import DEADLINE_S, Appliance, RunningGm, running_gm, until
from inproc.gm_walk_table import API, PORTAL, STREAMS, Kind, Row

NOBODY: Final = "nobody"
_CERTIFICATE: Final = self_signed("tundra-worker", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), 30).certificate
_BUNDLE: Final = bundle_bytes("1.0", payload_bytes=1000)
EVERYBODY: Final = (NOBODY, *people())
_TUNDRA: Final = frozenset(f"tundra-{role}" for role in ROLES)
_ADMINISTRATORS: Final = frozenset({"boss", "tundra-administrator"})
_WITHOUT_ROLE: Final = frozenset({"plain", "holder"})


def expected(row: Row, person: str) -> str:
    """Return ``yes``, ``no``, ``hidden`` or ``stranger``."""
    sees = person in _TUNDRA or person == "boss"
    yes: dict[Kind, bool] = {
        "open": True,
        "door": True,
        "own": True,
        "leave": True,
        "mine": False,
        "role": person not in _WITHOUT_ROLE,
        "see": sees,
        "grant": sees or person == "holder",
        "change": person in _ADMINISTRATORS,
        "look-after": sees and person != "tundra-observer",
        "decide": person in _ADMINISTRATORS or person == "tundra-approver",
        "asker": person == "holder",
        "ask": person == "holder",
        "server": person == "boss",
        "hidden": person == "boss",
        "entry": sees,
    }
    if person == NOBODY:
        return "yes" if row.kind in ("open", "door") else "stranger"
    if yes[row.kind]:
        return "yes"
    told_no = {
        "role": True,
        "entry": person in _WITHOUT_ROLE,
        "server": True,
        "change": sees,
        "look-after": sees,
        "decide": sees,
        "asker": sees,
    }
    return "no" if told_no.get(row.kind, False) else "hidden"


class Things:
    """Makes what requests are about, in tundra."""

    def __init__(self, gm: RunningGm, world: World) -> None:
        self._gm = gm
        self._world = world
        self._count = 0

    def make(self, kind: str) -> str:
        """Return the id of a fresh thing."""
        self._count += 1
        try:
            return self._gm.write(self._make, kind, f"new {self._count}", self._gm.clock())
        except GatelinkError as error:
            raise AssertionError(f"no {kind} can be made: {error}") from None

    def _make(self, session: Session, kind: str, name: str, now: float) -> str:
        by, world = CONSOLE, self._world
        match kind:
            case "word":
                return name
            case "press1" | "plc":
                return world.appliance if kind == "press1" else world.device
            case "held":
                query = select(Grant.id).join(User, User.id == Grant.user_id)
                return session.scalars(query.where(User.name == "holder", Grant.revoked_at.is_(None))).first() or ""
            case "entry":
                number = select(func.max(AuditEntry.number)).where(AuditEntry.domain == "tundra/line3")
                return str(session.scalar(number))
            case "domain":
                return domains.add_domain(session, by, f"tundra/{name}", now).id
            case "appliance":
                return appliances.add_appliance(session, by, world.inner, name, now).id
            case "device":
                owner = appliances.add_appliance(session, by, world.inner, name, now).id
                ssh = (ServicePorts("ssh", "tcp", 22),)
                new = NewDevice(name="plc", address="10.0.0.1", services=ssh)
                return devices.add_device(session, by, owner, new, now).id
            case "user":
                return users.add_user(session, by, NewUser(name=f"tundra {name}", domain="tundra"), now).id
            case "group":
                return groups.add_group(session, by, "tundra", name, now).id
            case "role":
                user = self._make(session, "user", name, now)
                return roles.give_role(session, by, "operator", now, user=user, domain="tundra").id
            case "grant":
                return grants.add_grant(session, by, NewGrant(user="tundra-worker", appliance=world.appliance), now).id
            case "relay":
                fields: Any = {"name": name, "device": self._make(session, "device", name, now), "user": world.user}
                push = relays.NewRelay(**fields, direction="push", port=1883)
                return relays.add_relay(session, by, push, now).id
            case "claim":
                owner = appliances.add_appliance(session, by, world.inner, name, now).id
                return claims.create_claim(session, by, owner, SENDER, 7, now).id
            case "invitation":
                return invitations.invite(session, by, "tundra-worker", SENDER, 7, now).id
            case "bundle":
                return keep(session, self._gm.directory.path, by, name, "tundra", now, payload_bytes=1000).id
            case "rollout":
                bundle_id, unit = self._make(session, "bundle", name, now), self._make(session, "appliance", name, now)
                terms = Terms(wave_size=1, stop_after_failures=1, allow_older=False, during_sessions=False)
                made = rollouts.add_rollout(session, bundle_id, world.domain, [unit], terms, "root", now)
                rollouts.stop(session, made, "for the walk")
                return made.id
            case "token":
                return make_token(session, world.user, name, (), 1, now)[0].id
        return self._insert(session, kind, name, now)

    def _insert(self, session: Session, kind: str, name: str, now: float) -> str:
        record: Any
        if kind == "session":
            record = SessionRecord(
                id=f"ses-{name.replace(' ', '-')}",
                user_id=self._world.user,
                user_name="tundra-worker",
                appliance_id=self._world.appliance,
                appliance_path="tundra/line3/press1",
                devices="plc",
                address="203.0.113.9",
                reason="walk",
                tunnel_pc="198.18.0.2",
                requested_at=now,
            )
        elif kind == "waiting":
            record = WaitingAppliance(
                id=f"wai-{name.replace(' ', '-')}",
                key_sha256=name.encode().ljust(32, b"w"),
                software="sm",
                address="203.0.113.77",
                first_seen_at=now,
                last_seen_at=now,
            )
        elif kind == "request":
            record = AccessRequest(
                id=f"req-{name.replace(' ', '-')}",
                user_id=actor(session, "holder").user_id,
                appliance_id=self._world.appliance,
                reason="to see",
                duration_s=3600.0,
                state="waiting",
                created_at=now,
            )
        elif kind == "alarm":
            record = Alarm(
                id=f"alm-{name.replace(' ', '-')}",
                kind="offline",
                subject_id=self._world.appliance,
                subject_name="tundra/line3/press1",
                domain="tundra/line3",
                text="press1 is offline",
                since=now,
            )
        elif kind == "certificate":
            der = _CERTIFICATE
            record = UserCertificate(
                id=f"crt-{name.replace(' ', '-')}",
                user_id=self._world.user,
                certificate=der,
                certificate_sha256=name.encode().ljust(32, b"c"),
                key_sha256=name.encode().ljust(32, b"k"),
                origin="pkcs12",
                issued_at=now,
            )
        else:
            raise AssertionError(kind)
        session.add(record)
        session.flush()
        return str(record.id)


class Answer(msgspec.Struct):
    """What came back."""

    status: int
    text: str
    location: str


class Person:
    """Somebody with a token and a browser that is signed in; or nobody, who has neither."""

    def __init__(self, gm: RunningGm, name: str) -> None:
        self.name = name
        self._port = gm.endpoint.port
        self._token, self.cookie, self._csrf = "", "", ""
        self._connection: http.client.HTTPSConnection | None = None
        self._gm = gm
        self.enter()

    def enter(self) -> None:
        """Sign in, again if need be."""
        if self.name != NOBODY:
            self._gm.write(self._enter, self._gm.clock())

    def _enter(self, session: Session, now: float) -> None:
        user_id = actor(session, self.name).user_id
        self._token = make_token(session, user_id, "walk", SCOPES, 1, now)[1]
        secret = open_session(session, user_id, None, "127.0.0.1", "walk", now)
        self.cookie, self._csrf = f"{COOKIE}={cookie_text(secret)}", csrf_token(secret)

    def ask(self, row: Row, address: str, body: Any) -> Answer:
        """Send a request; a connection that the server has closed meanwhile is made anew."""
        headers, data = self._dressed(row, body)
        for attempt in range(2):
            if self._connection is None:
                context = ssl._create_unverified_context()  # noqa: S323 - who it is does not matter here
                self._connection = http.client.HTTPSConnection(
                    "127.0.0.1", self._port, timeout=DEADLINE_S, context=context
                )
            try:
                self._connection.request(row.method, address, data, headers)
                response = self._connection.getresponse()
                text = response.read().decode("utf-8", "replace")
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
                self.close()
                if attempt:
                    raise
                continue
            return Answer(response.status, text, response.headers.get("Location") or "")
        raise AssertionError(address)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _dressed(self, row: Row, body: Any) -> tuple[dict[str, str], bytes | None]:
        if row.file:
            headers = {"Authorization": f"Bearer {self._token}", "Cookie": self.cookie, "X-CSRF": self._csrf}
            sent = headers | {"Content-Type": "application/octet-stream"}
            return {name: value for name, value in sent.items() if value.strip() != "Bearer"}, _BUNDLE
        if row.address.startswith("/api/"):
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            if body is None:
                return headers, None
            return headers | {"Content-Type": "application/json"}, json.dumps(body).encode()
        headers = {"Cookie": self.cookie} if self.cookie else {}
        if row.method != "POST":
            return headers, None
        form = urlencode({"csrf": self._csrf, **(body or {})}).encode()
        return headers | {"Content-Type": "application/x-www-form-urlencoded"}, form


class Walker:
    """Walks rows of the table through a running server."""

    def __init__(self, gm: RunningGm, worlds: dict[str, World]) -> None:
        self.gm = gm
        self.worlds = worlds
        self.things = Things(gm, worlds["tundra"])
        self.people = {name: Person(gm, name) for name in EVERYBODY}
        self.mistakes: list[str] = []

    async def walk(self, row: Row) -> None:
        """Ask as everybody: first those to whom the answer is no, about one thing that must stay as it is."""
        by_answer = {name: expected(row, name) for name in EVERYBODY}
        made: dict[str, str] = {}
        before = self._deeds()
        for name, answer in by_answer.items():
            if answer != "yes":
                await self._ask(row, name, answer, made)
        if self._deeds() != before:
            self.mistakes.append(
                f"{row.method} {row.address}: something was done for somebody to whom the answer is no"
            )
        for name, answer in by_answer.items():
            if answer == "yes":
                await self._ask(row, name, answer, {})
        if row.kind in ("open", "door") and self._deeds() != before:
            self.mistakes.append(f"{row.method} {row.address}: something was done for whoever came")

    async def _ask(self, row: Row, name: str, answer: str, made: dict[str, str]) -> None:
        address = re.sub(r"{(\w+)(:\w+)?}", lambda match: self._thing(row.names[match[1]], made), row.address)
        if row.query:
            address += "?" + self._filled(row.query, made)
        body = self._filled(row.body, made)
        got = await asyncio.to_thread(self.people[name].ask, row, address, body)
        if row.kind == "leave":
            self.people[name].enter()
        what = f"{row.method} {address} as {name}"
        if not _is(answer, got, row):
            self.mistakes.append(f"{what}: expected {answer}, got {got.status} {got.location} {got.text[:200]!r}")
        said = address + json.dumps(body)
        for marker in self._unseen(name):
            if marker not in said and marker in got.text:
                place = got.text.index(marker)
                shown = got.text[max(0, place - 60) : place + 60]
                self.mistakes.append(f"{what}: shows {marker!r}: {shown!r}")

    def _thing(self, kind: str, made: dict[str, str]) -> str:
        if kind not in made:
            made[kind] = self.things.make(kind)
        return made[kind].replace(" ", "%20")

    def _filled(self, value: Any, made: dict[str, str]) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$(\w+)", lambda match: self._thing(match[1], made).replace("%20", " "), value)
        if isinstance(value, dict):
            return {key: self._filled(part, made) for key, part in value.items()}
        return value

    def _unseen(self, name: str) -> Sequence[str]:
        """What must be in no answer for this person, whatever he asks."""
        if name.startswith("tundra-"):
            return ("zenith", "palletiser", *msgspec.structs.astuple(self.worlds["zenith"]))
        if name.startswith("zenith-") or name in ("plain", NOBODY):
            return ("tundra", "press1", *msgspec.structs.astuple(self.worlds["tundra"]))
        if name == "holder":
            return ("palletiser", "secret note", "worker", self.worlds["tundra"].user, self.worlds["zenith"].appliance)
        return ()

    def _deeds(self) -> int:
        """How often somebody who is not at the console did something."""
        query = select(func.count()).select_from(AuditEntry).where(AuditEntry.actor_id != "")
        return self.gm.read(lambda session: session.scalar(query) or 0)


def _is(answer: str, got: Answer, row: Row) -> bool:
    match answer:
        case "yes" if got.status == row.also:
            return True
        case "yes" if row.kind == "door":
            return got.status < 500
        case "yes" if row.kind in ("own", "server") and row.method == "POST":
            return 200 <= got.status < 400 or got.status in (409, 422)
        case "yes" if row.kind == "leave":
            return got.status == 303
        case "yes":
            return 200 <= got.status < 400 and not got.location.startswith("/sign-in")
        case "no":
            return got.status == 403
        case "hidden":
            return got.status == row.hidden
    if row.address.startswith("/api/"):
        return got.status == 401
    return got.status == 303 and got.location.startswith("/sign-in")


@contextlib.asynccontextmanager
async def walker(path: Path) -> AsyncIterator[Walker]:
    """A server with both worlds, and everybody signed in."""
    limits = Limits(api_requests_per_s=100_000, web_per_address=64)
    async with running_gm(path / "gm", limits) as gm:
        worlds = gm.write(_prepare, gm.clock())
        walking = Walker(gm, worlds)
        try:
            yield walking
        finally:
            for person in walking.people.values():
                person.close()


def _prepare(session: Session, now: float) -> dict[str, World]:
    worlds = settle(session, now)
    new = NewGrant(user="holder", device=worlds["tundra"].device, services=("vnc",), needs_approval=True)
    grants.add_grant(session, CONSOLE, new, now)
    return worlds


def _walk(path: Path, rows: Sequence[Row]) -> None:
    async def scenario() -> None:
        async with walker(path) as walking:
            for row in rows:
                await walking.walk(row)
            assert not walking.mistakes, "\n" + "\n".join(walking.mistakes)

    asyncio.run(scenario())


def test_every_route_of_the_api_is_in_the_table() -> None:
    registered = {(endpoint.method, f"/api/v1{endpoint.path}") for endpoint in ENDPOINTS}
    registered |= {("GET", "/api/v1/"), ("GET", "/api/v1/openapi.json")}
    assert registered == {(row.method, row.address) for row in API}


def test_live_stream_names_only_what_one_sees(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with walker(tmp_path) as walking:
            gm, press_id = walking.gm, walking.worlds["tundra"].appliance
            watching = ("boss", "tundra-observer", "holder", "zenith-observer", "zenith-administrator", "plain")
            said = {name: bytearray() for name in watching}
            readers = [asyncio.create_task(_watch(walking.people[name], gm, said[name])) for name in watching]
            await until(lambda: all(b"retry:" in text for text in said.values()))
            appliance = Appliance(gm, await gm.enrolled_appliance("tundra/line3/press1"))
            await appliance.log_in()
            await until(lambda: all(press_id.encode() in said[name] for name in watching[:3]))
            appliance.close()
            gm.write(appliances.change_appliance, CONSOLE, press_id, ApplianceChange(note="new"), gm.clock())
            before = {name: len(text) for name, text in said.items()}
            await until(lambda: all(len(text) > before[name] for name, text in said.items()))
            for name in watching[3:]:
                assert press_id.encode() not in said[name], name
                assert b"tundra" not in said[name], name
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    asyncio.run(scenario())


async def _watch(person: Person, gm: RunningGm, said: bytearray) -> None:
    context = ssl._create_unverified_context()  # noqa: S323 - who it is does not matter here
    reader, writer = await asyncio.open_connection("127.0.0.1", gm.endpoint.port, ssl=context)
    try:
        writer.write(f"GET /live HTTP/1.1\r\nHost: gm\r\nCookie: {person.cookie}\r\n\r\n".encode())
        while piece := await reader.read(4096):
            said += piece
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


def _registered(gm: RunningGm) -> set[tuple[str, str]]:
    """Return every route of the web application but those of the API."""
    hardened: Any = gm.server._browsers.config.app
    found: set[tuple[str, str]] = set()
    for route in hardened._app.routes:
        if isinstance(route, Mount):
            assert route.path == "/api/v1", route.path
            continue
        assert isinstance(route, Route), route
        found |= {(method, route.path) for method in route.methods or () if method != "HEAD"}
    return found


def test_every_page_is_in_the_table(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            assert _registered(gm) == {(row.method, row.address) for row in PORTAL} | STREAMS

    asyncio.run(scenario())


@pytest.mark.parametrize("half", [0, 1])
def test_pages_answer_everybody_as_the_table_says(tmp_path: Path, half: int) -> None:
    _walk(tmp_path, PORTAL[half::2])


@pytest.mark.parametrize("half", [0, 1])
def test_api_answers_everybody_as_the_table_says(tmp_path: Path, half: int) -> None:
    _walk(tmp_path, API[half::2])

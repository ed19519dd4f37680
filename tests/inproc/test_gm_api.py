"""The API of a running server, over TLS: tokens, errors, pages, entity tags, limits, and all that it describes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy.orm import Session

from gm_server.accounts.web_sessions import open_session as open_web_session
from gm_server.acts import tokens, users
from gm_server.acts.tokens import NewToken, Scope
from gm_server.acts.users import UserChange
from gm_server.api.limits import Buckets
from gm_server.api.openapi import document
from gm_server.api.resources import ENDPOINTS
from gm_server.appliances.samples import Sample, add_samples
from gm_server.audit.verification import verify
from gm_server.config import Limits
from gm_server.database.tables import ApiToken
from gm_server.mail.settings import load_mail
from gm_server.texting.settings import load_texting
from gm_server.web.forms import csrf_token
from gm_server.web.visitors import COOKIE, cookie_text
from inproc.gm_people import CONSOLE, World, actor, settle
from inproc.gm_running import DEADLINE_S, Appliance, RunningGm, User, open_session, running_gm
from inproc.text_service import SECRET, text_service

ALL: tuple[Scope, ...] = ("read", "connect", "approve", "change")
TAGS = (
    ("Domains", "Appliances"),
    ("Claims", "Devices", "Firmware"),
    ("Users", "Tokens", "Account"),
    ("Groups", "Roles", "Requests", "Relays"),
    ("Grants", "Sessions", "Alarms", "Audit", "Settings"),
)
_EXAMPLES = os.environ.get("GATELINK_API_EXAMPLES", "3")
"""For each endpoint, beside the cases that its description suggests. More, by hand, find more."""


class Answer(msgspec.Struct):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: Any


class Client:
    """Asks the API."""

    def __init__(self, gm: RunningGm, worlds: dict[str, World]) -> None:
        self.gm = gm
        self.worlds = worlds

    def token(self, user: str, *scopes: Scope, days: float = 1) -> str:
        new = NewToken(name="test", scopes=scopes or ALL, days=days)
        return self.gm.write(tokens.make_token, CONSOLE, new, self.gm.clock(), user).secret

    async def ask(self, method: str, path: str, token: str, body: Any = None, **headers: str) -> Answer:
        return await asyncio.to_thread(self._ask, method, path, token, body, headers)

    def _ask(self, method: str, path: str, token: str, body: Any, headers: dict[str, str]) -> Answer:
        context = ssl._create_unverified_context()  # noqa: S323 - who it is does not matter here
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.gm.endpoint.port, timeout=DEADLINE_S, context=context
        )
        with contextlib.closing(connection):
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if token:
                sent["Authorization"] = f"Bearer {token}"
            if body is not None:
                sent.setdefault("Content-Type", "application/json")
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, f"/api/v1{path}", data, sent)
            response = connection.getresponse()
            content = response.read()
            got = {name.lower(): value for name, value in response.getheaders()}
        if response.status >= 400:
            assert got["content-type"] == "application/problem+json", (path, content)
            problem = json.loads(content)
            assert (problem["status"], problem["type"]) == (response.status, "about:blank")
            assert problem["title"]
            assert problem["detail"]
            return Answer(response.status, got, problem)
        told = json.loads(content) if got.get("content-type") == "application/json" else content
        return Answer(response.status, got, told)


@contextlib.asynccontextmanager
async def _served(path: Path, per_s: int = 10_000) -> AsyncIterator[Client]:
    async with running_gm(path / "gm", Limits(api_requests_per_s=per_s)) as gm:
        yield Client(gm, gm.write(settle, gm.clock()))


def _run(path: Path, scenario: Callable[[Client], Awaitable[None]], per_s: int = 10_000) -> None:
    async def run() -> None:
        async with _served(path, per_s) as client:
            await scenario(client)

    asyncio.run(run())


def test_tokens_open_what_they_are_for_and_no_more(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        reader = client.token("tundra-administrator", "read")
        me = await client.ask("GET", "/me", reader)
        assert (me.body["name"], me.body["scopes"]) == ("tundra-administrator", ["read"])
        refused = await client.ask("POST", "/domains", reader, {"path": "tundra/new"})
        assert (refused.status, "scope change" in refused.body["detail"]) == (403, True)
        for secret in ("", "glt_nonsense", reader[:-1], "x" * 300):
            unknown = await client.ask("GET", "/me", secret)
            assert (unknown.status, unknown.headers["www-authenticate"][:6]) == (401, "Bearer")
        used = client.gm.read(lambda session: session.query(ApiToken).one().last_used_at)
        assert used is not None
        client.gm.clock.ahead_s = 86401
        assert (await client.ask("GET", "/me", reader)).status == 401
        client.gm.clock.ahead_s = 0
        client.gm.write(users.disable_user, CONSOLE, "tundra-administrator", client.gm.clock())
        assert (await client.ask("GET", "/me", reader)).status == 401

    _run(tmp_path, scenario)


def test_what_is_wrong_is_told_as_a_problem(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        token = client.token("boss")
        wrong: list[tuple[int, str, str, Any, dict[str, str]]] = [
            (404, "GET", "/nothing", None, {}),
            (404, "GET", "/appliances/sm-0", None, {}),
            (404, "GET", "/appliances/%0A%00", None, {}),
            (405, "DELETE", "/appliances", None, {}),
            (405, "TRACE", "/me", None, {}),
            (400, "GET", "/appliances?limit=0", None, {}),
            (400, "GET", "/appliances?limit=5&limit=6", None, {}),
            (400, "GET", "/appliances?state=null", None, {}),
            (400, "GET", "/appliances?colour=red", None, {}),
            (422, "GET", "/appliances?cursor=AAAA", None, {}),
            (400, "POST", "/domains", {"path": "x", "colour": "red"}, {}),
            (400, "POST", "/domains", b"{", {}),
            (400, "POST", "/domains", b'"\\ud800', {}),
            (400, "POST", "/domains", b"[" * 100_000, {}),
            (415, "POST", "/domains", {"path": "x"}, {"Content_Type": "text/plain"}),
            (413, "POST", "/domains", b'"' + b"x" * 300_000 + b'"', {}),
            (422, "POST", "/domains", {"path": "a//b"}, {}),
            (409, "POST", "/domains", {"path": "tundra"}, {}),
            (409, "DELETE", f"/domains/{client.worlds['tundra'].domain}", None, {}),
            (412, "DELETE", f"/domains/{client.worlds['tundra'].domain}", None, {"If_Match": '"old"'}),
            (422, "POST", "/grants", {"user": "plain"}, {}),
        ]
        for status, method, path, body, headers in wrong:
            got = await client.ask(method, path, token, body, **headers)
            assert got.status == status, (method, path, got)
            if status == 405:
                assert "GET" in got.headers["allow"]

    _run(tmp_path, scenario)


def test_changes_of_two_who_read_the_same_are_not_lost(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        token, path = client.token("boss"), f"/appliances/{client.worlds['tundra'].appliance}"
        tag = (await client.ask("GET", path, token)).headers["etag"]
        first = await client.ask("PATCH", path, token, {"note": "first"}, If_Match=tag)
        assert (first.status, first.body["note"]) == (200, "first")
        assert (await client.ask("PATCH", path, token, {"note": "second"}, If_Match=tag)).status == 412
        assert (await client.ask("GET", path, token)).headers["etag"] == first.headers["etag"] != tag
        assert (
            await client.ask("PATCH", path, token, {"note": "2"}, If_Match=f'"a", {first.headers["etag"]}')
        ).status == 200
        member = f"/groups/{client.worlds['tundra'].group}/members/{client.worlds['tundra'].user}"
        for method, members in (("PUT", 1), ("PUT", 1), ("DELETE", 0), ("DELETE", 0)):
            assert (await client.ask(method, member, token)).body["members"] == members

    _run(tmp_path, scenario)


def test_made_things_are_where_the_answer_says_and_lists_go_on(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        token = client.token("boss")
        for number in range(5):
            body = {"domain": "zenith", "name": f"unit {number}"}
            made = await client.ask("POST", "/appliances", token, body)
            assert made.status == 201
            where = made.headers["location"].removeprefix("/api/v1")
            assert (await client.ask("GET", where, token)).body["path"] == f"zenith/unit {number}"
        names: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await client.ask("GET", f"/appliances?domain=zenith&limit=2&cursor={cursor}", token)).body
            names += [item["name"] for item in page["items"]]
            assert page["total"] == 6
            cursor = page["next"]
        assert names == [*(f"unit {number}" for number in range(5)), "palletiser"]

    _run(tmp_path, scenario)


def test_live_state_is_shown_and_a_session_is_ended(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        gm, token = client.gm, client.token("boss")
        await client.ask("POST", "/grants", token, {"user": "plain", "appliance": "tundra/line3/press1"})
        appliance = Appliance(gm, await gm.enrolled_appliance("tundra/line3/press1"))
        user = User(gm, await gm.enrolled_user("plain"))
        await appliance.log_in()
        await user.log_in()
        try:
            session = await open_session(user, appliance)
            online = (await client.ask("GET", "/appliances?online=true", token)).body["items"]
            assert [(item["path"], item["connection"]["address"]) for item in online] == [
                ("tundra/line3/press1", "127.0.0.1")
            ]
            assert (await client.ask("GET", "/appliances?online=false", token)).body["total"] == 1
            path = f"/sessions/{session.session_id}"
            assert (await client.ask("GET", path, token)).body["live"] is True
            outsider = client.token("zenith-administrator")
            assert (await client.ask("POST", f"{path}/end", outsider, {})).status == 404
            assert (await client.ask("POST", f"{path}/end", client.token("tundra-observer"), {})).status == 403
            ended = await client.ask("POST", f"{path}/end", client.token("tundra-administrator"), {"reason": "stop"})
            assert ended.body == {"sessions": [session.session_id]}
            assert await session.is_cut()
            session.close()
        finally:
            appliance.close()
            user.close()

    _run(tmp_path, scenario)


def test_settings_are_changed_without_their_secrets_being_shown_when_a_server_administrator_asks(
    tmp_path: Path,
) -> None:
    async def scenario(client: Client) -> None:
        gm, token = client.gm, client.token("boss")
        change = UserChange(email="boss@example.com", phone="+4915112345678")
        gm.write(users.change_user, CONSOLE, "boss", change, gm.clock())
        for unfit in (client.token("tundra-administrator"), client.token("boss", "read")):
            for path in ("/settings/mail", "/settings/sms", "/settings/alarms", "/settings/certificate"):
                assert (await client.ask("GET", path, unfit)).status == 403
                assert (await client.ask("PUT", path, unfit, {})).status == 403

        # Port 9 of this machine discards: nothing leaves it.
        mail = {"host": "127.0.0.1", "port": 9, "user": "gm", "sender": "gm@example.com", "security": "tls"}
        made = await client.ask("PUT", "/settings/mail", token, {**mail, "password": "first"})
        assert made.body == {**mail, "ca_file": ""}
        shown = await client.ask("GET", "/settings/mail", token)
        assert shown.body == made.body
        changed = await client.ask(
            "PUT", "/settings/mail", token, {**shown.body, "sender": "new@example.com"}, If_Match=shown.headers["etag"]
        )
        assert changed.body["sender"] == "new@example.com"
        assert gm.read(load_mail).password == "first"
        stale = await client.ask("PUT", "/settings/mail", token, shown.body, If_Match=shown.headers["etag"])
        assert stale.status == 412
        elsewhere = await client.ask("PUT", "/settings/mail", token, {**shown.body, "host": "mail.example.com"})
        assert (elsewhere.status, "password again" in elsewhere.body["detail"]) == (422, True)
        tried = await client.ask("POST", "/settings/mail/test", token)
        assert tried.body == {"recipient": "boss@example.com"}
        sent = (await client.ask("GET", "/settings/mail/sent", token)).body
        assert [one["recipient"] for one in sent] == ["boss@example.com"]

        nobody = await client.ask("POST", "/settings/sms/test", token)
        assert (nobody.status, "no provider" in nobody.body["detail"]) == (422, True)
        async with text_service(gm) as service:
            providers = (await client.ask("GET", "/settings/sms", token)).body["providers"]
            assert [(one["kind"], one["name"], "secret" in one) for one in providers] == [("http", "service", False)]
            first = {"kind": "smpp", "name": "centre", "host": "127.0.0.1", "port": 9, "secret": "s3cret"}
            kept = await client.ask("PUT", "/settings/sms", token, {"providers": [first, *providers]})
            assert [one["name"] for one in kept.body["providers"]] == ["centre", "service"]
            assert [one.secret for one in gm.read(load_texting).providers] == ["s3cret", SECRET]
            wrong = await client.ask("PUT", "/settings/sms", token, {"providers": [{**first, "secert": "x"}]})
            assert wrong.status == 400
            tried = await client.ask("POST", "/settings/sms/test", token)
            assert [(one["provider"], bool(one["error"])) for one in tried.body["tried"]] == [
                ("centre", True),
                ("service", False),
            ]
            assert [to for to, _ in service.sent] == ["+4915112345678"]
            assert service.authorisations == [f"Bearer {SECRET}"]
            events = [one["event"] for one in (await client.ask("GET", "/settings/sms/sent", token)).body]
            assert sorted(events) == ["message.failed", "message.sent"]

        alarms = {"offline_minutes": 3, "failed_logins": 0, "certificate_days": 30, "mail": False}
        assert (await client.ask("PUT", "/settings/alarms", token, alarms)).body == alarms
        assert (await client.ask("GET", "/settings/alarms", token)).body == alarms
        own = (await client.ask("GET", "/settings/certificate", token)).body
        assert own["kind"] == "own"
        assert (await client.ask("PUT", "/settings/certificate", token, {**own, "kind": "acme"})).status == 422
        entries = (await client.ask("GET", "/audit?event=setting", token)).body["items"]
        assert {(entry["actor_name"], entry["via"]) for entry in entries} >= {("boss", "api")}
        assert not any(secret in json.dumps(entries) for secret in ("first", "s3cret", SECRET))

    _run(tmp_path, scenario)


def test_audit_log_is_exported_as_the_portal_does_it_when_it_is_asked_for(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        gm, token = client.gm, client.token("tundra-observer")
        [entry, *_] = (await client.ask("GET", "/audit?event=appliance", token)).body["items"]
        assert (await client.ask("GET", f"/audit/{entry['number']}", token)).body == entry
        for number in ("1000000", "word", "9" * 100):
            assert (await client.ask("GET", f"/audit/{number}", token)).status == 404
        assert (await client.ask("GET", "/audit/export", token)).status == 405

        user_id = gm.read(actor, "tundra-observer").user_id
        secret = gm.write(open_web_session, user_id, None, "127.0.0.1", "test", gm.clock())
        origin = f"https://127.0.0.1:{gm.endpoint.port}"
        cookies = {COOKIE: cookie_text(secret)}
        async with httpx.AsyncClient(base_url=origin, verify=False, cookies=cookies, timeout=60) as browser:  # noqa: S501
            lines: dict[str, tuple[bytes, bytes]] = {}
            for form in ("csv", "jsonl"):
                by_api = await client.ask("POST", "/audit/export", token, {"form": form, "event": "appliance"})
                data = {"csrf": csrf_token(secret), "form": form, "event": "appliance"}
                by_portal = await browser.post("/audit/export", data=data, headers={"Origin": origin})
                assert by_portal.headers["content-type"] == by_api.headers["content-type"]
                assert f".{form}" in by_api.headers["content-disposition"]
                lines[form] = (by_api.body, by_portal.content)
        assert lines["csv"][0] == lines["csv"][1]
        assert b"press1" in lines["csv"][0]
        assert b"zenith" not in lines["csv"][0]
        # Header and end say when it was made, and by the portal's there is one entry more that is left out.
        reports = [verify(content.splitlines(keepends=True)) for content in lines["jsonl"]]
        assert [report.findings for report in reports] == [[], []]
        assert reports[0].entries == reports[1].entries > 0
        entries = [[line for line in content.splitlines() if b'"event"' in line] for content in lines["jsonl"]]
        assert entries[0][1:] == entries[1][1:]
        exports = (await client.ask("GET", "/audit?event=audit.exported", client.token("boss"))).body["items"]
        assert [one["via"] for one in exports] == ["portal", "api"] * 2

        def add(session: Session) -> None:
            appliance_id = client.worlds["tundra"].appliance
            for ago_s in (90_000.0, 600.0, 300.0):
                add_samples(session, [Sample(appliance_id, gm.clock() - ago_s, online=True, latency_ms=12.0)])

        gm.write(add)
        path = f"/appliances/{client.worlds['tundra'].appliance}/history"
        assert len((await client.ask("GET", path, token)).body["samples"]) == 2
        assert len((await client.ask("GET", f"{path}?since=0", token)).body["samples"]) == 3
        assert (await client.ask("GET", path, client.token("holder"))).status == 404

    _run(tmp_path, scenario)


def test_who_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        busy, other = client.token("boss"), client.token("plain")
        statuses = [(await client.ask("GET", "/me", busy)).status for _ in range(10)]
        assert statuses == [200] * 10
        # One a second more is let in: a busy machine needs a few more until it has asked too often.
        while (await client.ask("GET", "/me", busy)).status == 200:
            pass
        waiting = await client.ask("GET", "/me", busy)
        if waiting.status == 429:
            assert 1 <= int(waiting.headers["retry-after"]) <= 2
        assert (await client.ask("GET", "/me", other)).status == 200
        unknown = {(await client.ask("GET", "/me", f"glt_{number}")).status for number in range(70)}
        assert unknown == {401, 429}
        assert (await client.ask("GET", "/me", other)).status == 200

    _run(tmp_path, scenario, per_s=1)


def test_buckets_fill_with_time_and_are_bounded() -> None:
    buckets = Buckets(per_s=2, burst=3, max_keys=2)
    for _ in range(3):
        assert buckets.wait_s("a", 0) == 0
        buckets.take("a", 0)
    assert buckets.wait_s("a", 0) == pytest.approx(0.5)
    assert buckets.wait_s("a", 0.5) == 0
    assert buckets.wait_s("b", 0) == 0
    buckets.take("b", 0.1)
    buckets.take("c", 0.2)
    assert len(buckets) == 2
    assert "a" not in buckets


def test_description_holds_every_endpoint_and_only_types_that_are_there() -> None:
    described = document()
    operations = {operation["operationId"] for methods in described["paths"].values() for operation in methods.values()}
    assert operations == {endpoint.name for endpoint in ENDPOINTS}
    assert len(operations) == len(ENDPOINTS)
    text = json.dumps(described)
    for name in {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert name in described["components"]["schemas"], name


def test_every_tag_is_asked_about() -> None:
    assert {tag for tags in TAGS for tag in tags} == {endpoint.tag for endpoint in ENDPOINTS}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("tags", TAGS, ids=" ".join)
def test_everything_that_the_description_allows_is_answered_as_it_says(tmp_path: Path, tags: tuple[str, ...]) -> None:
    """schemathesis asks what follows from the description, right and wrong; it must find nothing."""
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(
        "[checks.positive_data_acceptance]\n"
        # 412 and 422 are for what fits the description and cannot be all the same: an old tag, a name that is taken.
        'expected-statuses = ["2xx", "401", "403", "404", "409", "412", "422"]\n'
    )

    async def scenario(client: Client) -> None:
        token = client.token("boss")
        chosen = [(*(f"--include-tag={tag}" for tag in tags), "--exclude-operation-id=revokeToken")]
        if "Tokens" in tags:
            # By itself: it then knows no ids, and cannot end the very token by which it asks.
            chosen.append(("--include-operation-id=revokeToken",))
        for selection in chosen:
            command = [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", settings, "run"),
                f"https://127.0.0.1:{client.gm.endpoint.port}/api/v1/openapi.json",
                *("--tls-verify=false", "--no-color", "--phases=coverage,fuzzing", "--generation-deterministic"),
                *(f"--max-examples={_EXAMPLES}", *selection),
                *("-H", f"Authorization: Bearer {token}"),
            ]
            running = await asyncio.create_subprocess_exec(
                *map(str, command), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            try:
                said, _ = await running.communicate()
            finally:
                if running.returncode is None:
                    running.kill()
                    await running.wait()
            assert running.returncode == 0, said.decode()[-6000:]
            # It asked as somebody, to the end.
            assert (await client.ask("GET", "/me", token)).status == 200

    _run(tmp_path, scenario, per_s=100_000)

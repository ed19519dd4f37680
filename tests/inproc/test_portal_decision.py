"""The link in an approver's mail: shows a request and decides it once, for the approver whom it names alone."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from gm_server.access.actors import at_the_console
from gm_server.access.roles import load_actor
from gm_server.accounts.seals import Seals
from gm_server.accounts.users import add_user, get_user
from gm_server.acts.grants import NewGrant, add_grant
from gm_server.acts.requests import NewRequest, make_link, make_request
from gm_server.acts.requests import Sender as Letters
from gm_server.acts.roles import give_role
from gm_server.appliances.registry import get_appliance
from gm_server.database.tables import AccessRequest
from inproc.gm_running import DEADLINE_S, RunningGm, running_gm


async def _ask(gm: RunningGm, path: str, form: dict[str, str] | None = None, cookie: str = "") -> tuple[int, str, str]:
    """Return status, the login's cookie and the page."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", gm.endpoint.port, ssl=context)
    body = urlencode(form or {})
    head = f"{'POST' if form else 'GET'} {path} HTTP/1.1\r\nHost: gm\r\nConnection: close\r\n"
    head += f"Cookie: {cookie}\r\n" if cookie else ""
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n" if form else ""
    writer.write(f"{head}\r\n{body}".encode())
    async with asyncio.timeout(DEADLINE_S):
        answer = (await reader.read()).decode()
    writer.close()
    cookies = re.findall(r"set-cookie: ([^;]+)", answer, re.IGNORECASE)
    return int(answer[9:12]), cookies[0] if cookies else cookie, answer


def _furnish(session: Session) -> str:
    by = at_the_console("test")
    for name in ("anna", "bert"):
        add_user(session, name, "acme", 1.0)
    give_role(session, by, "approver", 1.0, user="anna", domain="acme")
    add_grant(session, by, NewGrant(user="ada", appliance="acme/line3/press1", needs_approval=True), 1.0)
    actor = load_actor(session, get_user(session, "ada").id, "portal", "")
    assert actor is not None
    wanted = NewRequest(appliance=get_appliance(session, "acme/line3/press1").id, reason="<b>film</b> tears")
    return make_request(session, actor, wanted, None, time.time()).id


def _link(gm: RunningGm, letters: Letters, request_id: str, name: str) -> str:
    user_id = gm.read(lambda session: get_user(session, name).id)
    parts = urlsplit(make_link(letters, request_id, user_id, gm.clock()))
    return f"{parts.path}?{parts.query}"


def test_request_is_decided_once_when_the_approver_follows_his_link(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            request_id = gm.write(_furnish)
            letters = _letters(gm)
            link = _link(gm, letters, request_id, "anna")
            status, cookie, page = await _ask(gm, link)
            assert status == 200
            assert "&lt;b&gt;film&lt;/b&gt; tears" in page
            # To look is not to decide.
            assert _state(gm, request_id) == "waiting"
            token = re.findall(r'name="csrf" value="([0-9a-f]+)"', page)[0]
            refused, _, _ = await _ask(gm, link, {"deed": "approve", "csrf": "0" * 64}, cookie)
            assert refused == 400
            assert _state(gm, request_id) == "waiting"
            status, _, page = await _ask(gm, link, {"deed": "approve", "csrf": token, "text": "go"}, cookie)
            assert status == 200
            assert "Approved" in page
            assert _state(gm, request_id) == "approved"
            again, _, _ = await _ask(gm, link, {"deed": "approve", "csrf": token}, cookie)
            assert again == 409

    asyncio.run(scenario())


def test_link_is_of_no_use_when_it_is_another_persons_or_bent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            request_id = gm.write(_furnish)
            letters = _letters(gm)
            link = _link(gm, letters, request_id, "anna")
            berts = _link(gm, letters, request_id, "bert")
            bert_id = re.findall(r"by=([^&]+)", berts)[0]
            bent = (link[:-4] + "AAAA", re.sub("by=[^&]+", f"by={bert_id}", link), link.split("?")[0], berts)
            for path in bent:
                status, _, page = await _ask(gm, path)
                assert status == 404, path
                assert "film" not in page
            assert _state(gm, request_id) == "waiting"

    asyncio.run(scenario())


def test_address_waits_when_it_tried_too_many_links_that_are_not_good(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            request_id = gm.write(_furnish)
            gm.clock.hold()
            good = _link(gm, _letters(gm), request_id, "anna")
            tried = [(await _ask(gm, f"{good[:-6]}{number:06}"))[0] for number in range(24)]
            assert tried[:19] == [404] * 19
            assert tried[-1] == 429
            status, _, page = await _ask(gm, good)
            assert status == 429
            assert "try again in" in page
            gm.clock.ahead_s += 61
            assert (await _ask(gm, good))[0] == 200

    asyncio.run(scenario())


def _state(gm: RunningGm, request_id: str) -> str:
    return str(
        gm.read(lambda session: session.scalar(select(AccessRequest.state).where(AccessRequest.id == request_id)))
    )


def _letters(gm: RunningGm) -> Letters:
    return Letters("test", "https://127.0.0.1", Seals.of_authority(gm.directory.user_authority()))

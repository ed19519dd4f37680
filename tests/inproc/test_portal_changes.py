"""What forms of the portal change, as a browser sends them: nothing is lost on the way that nobody meant to lose."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.exceptions import InputError
from gatelink.identity import serial_text
from gm_server.access.actors import at_the_console
from gm_server.access.weeks import DAY_NAMES, describe
from gm_server.accounts.users import get_user
from gm_server.acts.grants import GrantView, list_grants
from gm_server.acts.paging import Paging
from gm_server.acts.users import UserChange, change_user
from gm_server.database.tables import AuditEntry, RoleRecord
from gm_server.texting.settings import (
    HttpProvider,
    Provider,
    SmppProvider,
    TextingSettings,
    load_texting,
    save_texting,
    shown,
)
from inproc.gm_running import Appliance, RunningGm, User, open_session, running_gm
from inproc.portal_person import Person
from inproc.text_service import text_service

BY = at_the_console("root")
SECRET = "only once typed"
_LOGOUTS = select(AuditEntry).where(AuditEntry.event == "login.ended")
URL = "https://sms.example.com/send?key={secret}"


@contextlib.asynccontextmanager
async def _administrator(path: Path) -> AsyncIterator[tuple[RunningGm, Person]]:
    """A server, and ada in her browser, who administers it."""
    async with running_gm(path / "gm") as gm:
        gm.plant()

        def make(session: Session) -> None:
            ada = get_user(session, "ada").id
            session.add(RoleRecord(id="rol-1", user_id=ada, domain_id=None, role="administrator", created_at=1.0))

        gm.write(make)
        enrolment = await gm.enrolled_user()
        async with Person(gm, path, enrolment.identity) as ada:
            await ada.sign_in()
            yield gm, ada


def test_provider_of_text_messages_keeps_its_secret_when_it_gets_another_name(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _administrator(tmp_path) as (gm, ada):
            fields = {"kind": "http", "method": "POST", "url": URL, "headers": "", "body": "", "expect": ""}
            await ada.open("/settings/sms")
            answer = await ada.send("/settings/sms/save", before="", name="web", secret=SECRET, **fields)
            assert answer.status_code == 303
            answer = await ada.send("/settings/sms/save", before="web", name="sms web", secret="", **fields)
            assert answer.status_code == 303
            [kept] = gm.read(load_texting).providers
            assert (kept.name, kept.secret) == ("sms web", SECRET)
            # Renamed and asked elsewhere at once: whoever may change settings does not learn the secret so.
            elsewhere = fields | {"url": "https://evil.example/?key={secret}"}
            answer = await ada.send("/settings/sms/save", before="sms web", name="other", secret="", **elsewhere)
            assert "enter its secret again" in answer.text
            assert gm.read(load_texting).providers == (kept,)

            # From a file, which says no old names: one of the same kind and address that is gone is the same one.
            def save(*providers: Provider) -> None:
                gm.write(save_texting, BY, TextingSettings(providers), gm.clock())

            save(HttpProvider(name="first", url=URL), SmppProvider(name="centre", host="smpp.example.com"))
            assert [one.secret for one in gm.read(load_texting).providers] == [SECRET, ""]
            save(*shown(gm.read(load_texting)).providers, HttpProvider(name="new", url=URL))
            assert [one.secret for one in gm.read(load_texting).providers] == [SECRET, "", ""]
            with pytest.raises(InputError, match="any of 2 that are gone"):
                save(HttpProvider(name="either", url=URL))

    asyncio.run(scenario())


def test_owner_sees_his_link_managers_and_signs_one_out_when_he_looks_at_his_account(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _administrator(tmp_path) as (gm, ada):
            assert "None is logged in." in (await ada.open("/account")).text
            gm.grant()
            appliance, lm = Appliance(gm, await gm.enrolled_appliance()), User(gm, await gm.enrolled_user())
            await appliance.log_in()
            await lm.log_in()
            session = await open_session(lm, appliance)
            page = (await ada.open("/account")).text
            assert f'<a href="/sessions/{session.session_id}">acme/line3/press1</a>' in page
            [address] = re.findall(r'action="(/account/link-managers/[^"]+)"', page)
            assert (await ada.send(address)).status_code == 303
            assert await session.is_cut()
            session.close()
            assert (await lm.hear_kind(messages.EndSession)).session_id == session.session_id
            told = await lm.hear_kind(messages.Refusal)
            assert (told.code, "signed out" in told.text) == ("login", True)
            # It comes back by itself, and is told so again; when its user logs in anew it is welcome.
            assert await lm.log_in() == told
            assert "None is logged in." in (await ada.open("/account")).text
            assert isinstance(await lm.log_in(), messages.Welcome)
            [entry] = gm.read(lambda session: [one.details for one in session.scalars(_LOGOUTS)])
            assert serial_text(lm.identity.certificate) in entry
            lm.close()
            appliance.close()

    asyncio.run(scenario())


def test_pages_are_in_the_language_of_the_account_or_else_of_the_browser(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _administrator(tmp_path) as (_gm, ada):
            assert '<html lang="en">' in (await ada.open("/")).text
            ada.client.headers["Accept-Language"] = "de-AT,de;q=0.9,en;q=0.5"
            for path, text in (
                ("/", "Übersicht"),
                ("/appliances/add", "Appliance hinzufügen"),
                ("/grants/add", "Zugriff freigeben"),
                ("/settings/backup", "Eine verschlüsselte Datei enthält alles"),
                ("/about", "Über diesen GateManager"),
            ):
                page = (await ada.open(path)).text
                assert '<html lang="de">' in page
                assert text in page
            await ada.open("/account")
            await ada.send("/account/language", language="en")
            page = (await ada.open("/account")).text
            assert '<html lang="en">' in page
            assert '<option value="en" lang="en" selected>English</option>' in page

    asyncio.run(scenario())


def _typed(*lines: tuple[str, str, str]) -> dict[str, Any]:
    """Return the fields of lines like ``("mon tue", "08:00", "12:00")``."""
    fields: dict[str, Any] = {}
    for number, (days, begin, end) in enumerate(lines):
        fields |= {f"day-{number}": days.split(), f"begin-{number}": begin, f"end-{number}": end}
    return fields


def _grants(gm: RunningGm) -> tuple[GrantView, ...]:
    return gm.read(list_grants, BY, Paging(), gm.clock()).items


def _lines(page: str) -> list[tuple[str, str, str]]:
    """Return the hours that a page's form holds."""
    found = []
    for number in range(page.count("<fieldset")):
        days = [day for day in DAY_NAMES if re.search(rf'id="day-{number}-{day}"[^>]*checked', page)]
        begin, end = (re.search(rf'id="{name}-{number}" [^>]*value="([^"]*)"', page) for name in ("begin", "end"))
        assert begin is not None
        assert end is not None
        found.append((" ".join(days), begin[1], end[1]))
    return found


def test_grant_keeps_all_its_hours_when_it_is_made_and_changed_by_form(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _administrator(tmp_path) as (gm, ada):
            await ada.open("/grants/add")
            assert _lines(ada.page.text if ada.page else "")[0] == ("mon tue wed thu fri", "07:00", "18:00")
            who = {"holder": "ada", "kind": "domain", "target": "acme", "which": "all", "zone": "Europe/Berlin"}
            three = (("mon tue wed thu", "06:00", "14:00"), ("", "", ""), ("fri", "06:00", "12:00"), ("sat", "", ""))
            answer = await ada.send("/grants/add", **who, hours="weekly", **_typed(*three))
            assert answer.status_code == 303, answer.text
            [grant] = _grants(gm)
            assert grant.weekly is not None
            said = "mon-thu 06:00-14:00, fri 06:00-12:00, sat (Europe/Berlin)"
            assert describe(grant.weekly) == said
            # Another thing is changed: the form gives back the hours as it showed them.
            page = (await ada.open(f"/grants/{grant.id}/edit")).text
            lines = _lines(page)
            assert lines[:3] == [three[0], three[2], ("sat", "00:00", "00:00")]
            assert set(lines[3:]) == {("", "", "")}
            typed = _typed(*lines)
            answer = await ada.send(f"/grants/{grant.id}/edit", **who, hours="weekly", reason="night", **typed)
            assert answer.status_code == 303, answer.text
            [grant] = _grants(gm)
            assert grant.weekly is not None
            assert (describe(grant.weekly), grant.reason) == (said, "night")
            # What is wrong is said, with all that was typed.
            await ada.open(f"/grants/{grant.id}/edit")
            wrong = _typed(("mon", "06:00", "25:00"), ("sun", "01:00", "02:00"))
            answer = await ada.send(f"/grants/{grant.id}/edit", **who, hours="weekly", **wrong)
            assert answer.status_code == 422
            assert _lines(answer.text)[:2] == [("mon", "06:00", "25:00"), ("sun", "01:00", "02:00")]

    asyncio.run(scenario())


def test_button_sends_a_test_by_every_provider_in_turn_and_the_log_shows_what_came_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _administrator(tmp_path) as (gm, ada):
            lost = HttpProvider(name="lost one", url="http://127.0.0.1:9/send")
            async with text_service(gm, lost) as service:
                await ada.open("/settings/sms")
                assert "no mobile number" in (await ada.send("/settings/sms/test")).text
                change = UserChange(phone="+4915112345678")
                gm.write(change_user, BY, "ada", change, gm.clock())
                await ada.open("/settings/sms")
                answer = await ada.send("/settings/sms/test")
                assert answer.status_code == 200
                assert "lost one" in answer.text
                assert "cannot be reached" in answer.text
                assert [to for to, _ in service.sent] == ["+4915112345678"]
            log = (await ada.open("/audit?event=message")).text
            assert all(word in log for word in ("message.failed", "message.sent", "lost one", "service"))
            assert "15112345678" not in log
            # Where the providers are set up it is seen as well.
            assert "lost one" in (await ada.open("/settings/sms")).text

    asyncio.run(scenario())

"""What forms of the portal change, as a browser sends them: nothing is lost on the way that nobody meant to lose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import at_the_console
from gm_server.accounts.users import get_user
from gm_server.database.tables import RoleRecord
from gm_server.texting.settings import (
    HttpProvider,
    Provider,
    SmppProvider,
    TextingSettings,
    load_texting,
    save_texting,
    shown,
)
from inproc.gm_running import RunningGm, running_gm
from inproc.portal_person import Person

BY = at_the_console("root")
SECRET = "only once typed"
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

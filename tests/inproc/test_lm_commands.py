"""Commands with a logged-in agent behind them: favourites, access that needs an approval, profiles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatelink.messages import AccessDecided, AccessRequested, RequestAccess
from inproc.lm_office import PLC, PRESS, Office, OfficeGm, office_and_gm
from lm_client.cli import run
from lm_client.favourites import MAX_FAVOURITES, Favourites
from lm_client.home import Profile

Capture = pytest.CaptureFixture[str]
Story = Callable[[Office, OfficeGm], Coroutine[Any, Any, None]]
SAW = msgspec.structs.replace(PRESS, appliance_id="a2", name="saw", devices=(PLC,))


def _with_office(tmp_path: Path, story: Story) -> None:
    async def told() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            gm.appliances = (PRESS, SAW)
            gm.access_answer = lambda number: AccessRequested(request_id=number, access_id="req-1")
            await story(office, gm)

    asyncio.run(told())


async def _lm(office: Office, *words: str) -> int:
    return await asyncio.to_thread(run, ["--home", str(office.home.path), *words])


def test_favourites_are_kept_and_listed_alone(tmp_path: Path, capsys: Capture) -> None:
    async def story(office: Office, _gm: OfficeGm) -> None:
        assert await _lm(office, "tree", "--favourites") == 0
        assert await _lm(office, "favourite", "saw") == 0
        assert capsys.readouterr().out.splitlines() == ["Nothing fits.", "Acme/Hall 3/saw is a favourite now."]
        assert await _lm(office, "tree", "--favourites", "--json") == 0
        assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["saw"]
        assert json.loads(office.home.favourites_path.read_bytes()) == ["a2"]
        assert await _lm(office, "favourite", "saw") == 0
        assert capsys.readouterr().out == "Acme/Hall 3/saw is no favourite any more.\n"
        assert await _lm(office, "favourite", "nothing") == 2
        assert capsys.readouterr().err.startswith("lm: ")

    _with_office(tmp_path, story)


def test_favourite_is_refused_when_there_are_too_many(tmp_path: Path, capsys: Capture) -> None:
    async def story(office: Office, _gm: OfficeGm) -> None:
        favourites = Favourites(office.home)
        for number in range(MAX_FAVOURITES):
            favourites.toggle(f"x{number}")
        assert await _lm(office, "favourite", "saw") == 2
        assert capsys.readouterr().err == "lm: there are 100 favourites already: remove one first\n"
        office.home.favourites_path.write_text("not JSON")
        assert await _lm(office, "favourite", "saw") == 0  # a damaged list is begun anew

    _with_office(tmp_path, story)


@pytest.mark.parametrize(
    ("state", "status", "shown"),
    [("approved", 0, "Access to press: approved."), ("denied", 1, "Access to press: denied: call me first.")],
)
def test_request_waits_for_the_decision(tmp_path: Path, capsys: Capture, state: Any, status: int, shown: str) -> None:
    async def story(office: Office, gm: OfficeGm) -> None:
        words = ("request", "press", "--reason", "fault 7", "--hours", "8")
        asking = asyncio.ensure_future(_lm(office, *words, "--wait"))
        request = await gm.heard(RequestAccess)
        assert (request.appliance_id, request.reason, request.duration_s) == ("a1", "fault 7", 8 * 3600)
        text = "call me first" if state == "denied" else ""
        gm.send(AccessDecided(access_id="req-1", appliance_id="a1", name="press", state=state, text=text))
        assert await asking == status
        told = capsys.readouterr()
        assert told.out.strip() == shown
        assert told.err == ("" if status == 0 else "lm: access to press was not given: denied\n")

    _with_office(tmp_path, story)


def test_request_says_what_comes_next_when_it_does_not_wait(tmp_path: Path, capsys: Capture) -> None:
    async def story(office: Office, gm: OfficeGm) -> None:
        assert await _lm(office, "request", "press", "--reason", "fault 7") == 0
        assert capsys.readouterr().out == "Access to press: waiting. `lm status` shows what becomes of it.\n"
        assert await _lm(office, "request", "saw", "--reason", "fault 7", "--json") == 0
        assert json.loads(capsys.readouterr().out)["state"] == "waiting"
        assert await _lm(office, "request", "press") == 2  # the approver reads the reason
        assert await _lm(office, "request", "press", "--reason", "x", "--hours", "0.1") == 2
        assert [type(word) for word in gm.said].count(RequestAccess) == 2

    _with_office(tmp_path, story)


def test_profiles_tell_who_is_logged_in_where(tmp_path: Path, capsys: Capture) -> None:
    async def story(office: Office, _gm: OfficeGm) -> None:
        other = office.home.of_profile("customer-2")
        other.ensure()
        other.save_profile(Profile(user="bob", addresses=("gm.example.com",)))
        office.home.of_profile("empty").ensure()
        assert await _lm(office, "profiles") == 0
        usual, second, empty = capsys.readouterr().out.splitlines()
        assert usual.split() == ["(usual)", "anna", "at", office.home.profile().addresses[0], "logged", "in"]
        assert second.split() == ["customer-2", "bob", "at", "gm.example.com"]
        assert empty.split() == ["empty", "-", "at", "-"]
        # Asked as one of them, the list is the same.
        assert await _lm(office, "--profile", "customer-2", "profiles", "--json") == 0
        rows = json.loads(capsys.readouterr().out)
        assert [(row["profile"], row["logged_in"]) for row in rows] == [
            ("", True),
            ("customer-2", False),
            ("empty", False),
        ]
        assert await _lm(office, "--profile", "../up", "profiles") == 2
        assert "is no name for a profile" in capsys.readouterr().err

    _with_office(tmp_path, story)

"""Client certificates in a real browser: who has none of ours is asked nothing, who has one signs in with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, Playwright
from sqlalchemy.orm import Session

from browser.certificate_browser import PASSWORD, chromium_at, make_home, need_certutil
from browser.conftest import PATIENCE_MS
from browser.gm_plant import Plant
from gatelink.identity import to_pkcs12
from gm_server.accounts.users import get_user
from inproc.gm_running import PASSWORD as ADAS
from inproc.parties import party_identity
from inproc.text_service import TextService, text_service

QUICK_MS = 6000
"""Longer than a page takes that nobody has to answer for."""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    plant = Plant(tmp_path_factory.mktemp("portal") / "gm", addresses=("localhost", "127.0.0.1"))
    need_certutil()
    plant.start()
    try:
        plant.gm.plant()
        yield plant
    finally:
        plant.close()


@pytest.fixture(autouse=True)
def _an_hour_later(plant: Plant) -> None:
    """Nobody waits for what was guessed in the test before."""
    plant.gm.clock.ahead_s += 3600


@pytest.fixture
def texts(plant: Plant) -> Iterator[TextService]:
    stack = contextlib.AsyncExitStack()
    yield plant.run(stack.enter_async_context(text_service(plant.gm)))
    plant.run(stack.aclose())


@pytest.fixture(scope="module")
def adas_file(plant: Plant) -> bytes:
    enrolment = plant.run(plant.gm.enrolled_user("ada"))
    return to_pkcs12(enrolment.identity, "ada", PASSWORD)


def _log_in_by(plant: Plant, method: str | None) -> None:
    def change(session: Session) -> None:
        user = get_user(session, "ada")
        user.login_method, user.phone = method, "+4915123456789"

    plant.gm.write(change)


def _fill_in(page: Page, password: str = ADAS) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_nothing_is_asked_when_the_browser_has_no_certificate_of_ours(
    playwright: Playwright, plant: Plant, adas_file: bytes, tmp_path: Path
) -> None:
    strange = to_pkcs12(party_identity("somebody"), "somebody", PASSWORD)
    for name, files in (("none", ()), ("another", (strange,))):
        home = make_home(tmp_path / name, *files)
        with chromium_at(playwright, home, plant.url, chooses=False) as context:
            page = context.pages[0]
            # A dialog would hold the page up until somebody answered it: this is what happens below.
            page.goto(f"{plant.url}/sign-in", timeout=PATIENCE_MS)
            page.get_by_label("User name").fill("ada")
            _fill_in(page)
            page.get_by_text("this account needs its certificate").wait_for()
    home = make_home(tmp_path / "ours", adas_file)
    with chromium_at(playwright, home, plant.url, chooses=False) as context, pytest.raises(Error, match="Timeout"):
        context.pages[0].goto(f"{plant.url}/sign-in", timeout=QUICK_MS)


def test_certificate_password_and_code_let_in_when_all_are_right(
    playwright: Playwright, plant: Plant, adas_file: bytes, texts: TextService, tmp_path: Path
) -> None:
    strange = to_pkcs12(party_identity("somebody"), "somebody", PASSWORD)
    home = make_home(tmp_path / "home", strange, adas_file)
    _log_in_by(plant, None)
    with chromium_at(playwright, home, plant.url, chooses=True) as context:
        page = context.pages[0]
        page.goto(f"{plant.url}/account")
        page.get_by_text("This browser holds a certificate of ada.").wait_for()
        assert page.get_by_label("User name").input_value() == "ada"
        _fill_in(page, "not the password")
        page.get_by_text("the name or the password is wrong").wait_for()
        _fill_in(page)
        page.get_by_role("heading", name="My account").wait_for()
        cookies = {cookie["name"]: cookie for cookie in context.cookies()}
        session = cookies["__Host-gatelink"]
        assert (session["secure"], session["httpOnly"], session["sameSite"]) == (True, True, "Lax")
        assert "__Host-gatelink-login" not in cookies
        page.get_by_role("button", name="Sign out").click()
        _log_in_by(plant, "certificate+sms")
        _fill_in(page)
        _enter_code(page, texts, wanted="/")


def test_password_lets_in_with_and_without_a_code_as_the_method_says(
    browser: Browser, plant: Plant, adas_file: bytes, texts: TextService
) -> None:
    assert adas_file
    for method in ("password", "password+sms"):
        _log_in_by(plant, method)
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"{plant.url}/account")
        page.get_by_label("User name").fill("ada")
        _fill_in(page, "not the password")
        page.get_by_text("the name or the password is wrong").wait_for()
        _fill_in(page)
        if method == "password+sms":
            _enter_code(page, texts)
        page.get_by_role("heading", name="My account").wait_for()
        page.goto(f"{plant.url}/sign-in?next=https://evil.example/")
        _confirm(page)
        if method == "password+sms":
            _enter_code(page, texts, wanted="/")
        page.wait_for_url(f"{plant.url}/")
        context.close()


def _confirm(page: Page) -> None:
    page.get_by_label("Password").fill(ADAS)
    page.get_by_role("button", name="Confirm").click()


def _enter_code(page: Page, texts: TextService, wanted: str = "/account") -> None:
    page.get_by_text("a code is on its way to the phone that ends in 89").wait_for()
    page.get_by_label("Code").fill("000000" if texts.code != "000000" else "111111")
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("the code was wrong; 4 tries are left").wait_for()
    page.get_by_label("Code").fill(texts.code)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url(f"**{wanted}")

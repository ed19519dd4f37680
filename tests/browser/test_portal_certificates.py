"""Client certificates in a real browser: who has none of ours is asked nothing, who has one signs in with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright, TimeoutError, sync_playwright

from browser.certificate_browser import PASSWORD, chromium_at, make_home, need_certutil
from browser.conftest import CHROMIUM
from browser.gm_plant import Plant
from gatelink.identity import to_pkcs12
from inproc.gm_running import PASSWORD as ADAS
from inproc.parties import party_identity

QUICK_MS = 8000


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: tools/setup installs it")
    need_certutil()
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    plant = Plant(tmp_path_factory.mktemp("portal") / "gm", addresses=("localhost", "127.0.0.1"))
    plant.start()
    try:
        plant.gm.plant()
        yield plant
    finally:
        plant.close()


@pytest.fixture(scope="module")
def adas_file(plant: Plant) -> bytes:
    enrolment = plant.run(plant.gm.enrolled_user("ada"))
    return to_pkcs12(enrolment.identity, "ada", PASSWORD)


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
            page.goto(f"{plant.url}/sign-in", timeout=QUICK_MS)
            page.get_by_label("User name").fill("ada")
            _fill_in(page)
            page.get_by_text("this account needs its certificate").wait_for()
    home = make_home(tmp_path / "ours", adas_file)
    with chromium_at(playwright, home, plant.url, chooses=False) as context, pytest.raises(TimeoutError):
        context.pages[0].goto(f"{plant.url}/sign-in", timeout=QUICK_MS)


def test_certificate_and_password_let_in_when_the_browser_holds_the_certificate(
    playwright: Playwright, plant: Plant, adas_file: bytes, tmp_path: Path
) -> None:
    strange = to_pkcs12(party_identity("somebody"), "somebody", PASSWORD)
    home = make_home(tmp_path / "home", strange, adas_file)
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

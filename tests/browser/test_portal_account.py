"""A person's first minutes at the portal: the invitation's link, a passkey, recovery codes, and in again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, CDPSession, Page
from sqlalchemy.orm import Session

from browser.axe import serious
from browser.gm_plant import Plant
from gatelink.claims import claim_text
from gm_server.accounts.users import add_user

PASSWORD = "a fine password"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    plant = Plant(tmp_path_factory.mktemp("portal") / "gm", addresses=("localhost",))
    plant.start()
    try:
        plant.gm.plant()
        yield plant
    finally:
        plant.close()


def _base(plant: Plant) -> str:
    return f"https://localhost:{plant.gm.endpoint.port}"


def _link(plant: Plant, name: str) -> str:
    def add(session: Session) -> None:
        add_user(session, name, "acme", plant.gm.clock()).login_method = "password"

    plant.gm.write(add)
    invitation = plant.gm.invitation(name)
    return f"{_base(plant)}/invitation#{claim_text(invitation)}"


def _authenticator(page: Page) -> tuple[CDPSession, str]:
    """Give the page a security key of its own."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True, "isUserVerified": True}
    added = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, added["authenticatorId"]


def _sign_in(page: Page, plant: Plant, name: str) -> None:
    page.goto(f"{_base(plant)}/account")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_invited_person_makes_an_account_with_a_passkey_and_signs_in_with_it(browser: Browser, plant: Plant) -> None:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    link = _link(plant, "bob")
    page.goto(link)
    page.get_by_label("New password").fill(PASSWORD)
    problems = serious(page)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Make my account").click()
    page.get_by_role("heading", name="My account").wait_for()

    session, key = _authenticator(page)
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("blue key")
    problems += serious(page)
    page.get_by_role("button", name="Add passkey").click()
    page.get_by_role("cell", name="blue key", exact=True).wait_for()
    page.get_by_role("link", name="Make new ones").click()
    page.get_by_role("button", name="Make recovery codes").click()
    page.locator("#codes").wait_for()
    problems += serious(page)
    codes = page.locator("#codes code").all_inner_texts()
    assert len(codes) == 10
    page.get_by_role("link", name="I have them").click()
    page.get_by_role("button", name="Sign out", exact=True).first.click()

    # The key is asked for, and is enough with the password.
    _sign_in(page, plant, "bob")
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("heading", name="My account").wait_for()
    page.get_by_role("button", name="Sign out", exact=True).first.click()

    # Another key is not; a recovery code is.
    session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": key})
    _authenticator(page)
    _sign_in(page, plant, "bob")
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_text("The passkey was not used.").wait_for()
    assert page.url.startswith(f"{_base(plant)}/sign-in/code")
    problems += serious(page)
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("9 are left").wait_for()
    problems += serious(page)

    # The link worked once.
    page.goto("about:blank")
    page.goto(link)
    page.get_by_text("this link is used, expired or damaged").wait_for()
    problems += serious(page)
    assert problems == []
    context.close()

"""A person's tasks at the portal, one after the other as in life, with real connections of SMs and LMs behind them.

Pictures of the steps land in ``build/screenshots``; with GATELINK_SCREENSHOTS=docs also where the manual has them.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy.orm import Session

from browser.gm_plant import Plant, furnish, running_plant
from gatelink import messages
from gatelink.identity import new_key
from gatelink.link.enrolment import ask_for_place
from gatelink.messages import EnrolWaiting
from gm_server.cli.program import program
from gm_server.database.tables import SessionRecord
from inproc.gm_running import Appliance, OpenedSession, open_session, until
from lm_client.pictures import invitation_in, read_picture

ROOT: Final = Path(__file__).parents[2]
SIZE: Final = {"width": 1120, "height": 700}
DEADLINE_MS: Final = 60_000
SM_KEY: Final = new_key()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with running_plant(tmp_path_factory.mktemp("portal") / "gm", furnish) as plant:
        plant.give_role("ada", "administrator")
        for path in ("acme/bottling/filler 1", "acme/bottling/capper", "nordwind/turbines/nw-01"):
            plant.connect_appliance(path)
        yield plant


@pytest.fixture(scope="module")
def ada(plant: Plant, browser: Browser) -> Iterator[Page]:
    """An administrator's browser."""
    context = _context(browser)
    context.add_cookies([plant.sign_in("ada")])  # type: ignore[list-item]
    page = context.new_page()
    page.goto(plant.url)
    yield page
    context.close()


def _context(browser: Browser, **more: Any) -> BrowserContext:
    context = browser.new_context(ignore_https_errors=True, viewport=SIZE, reduced_motion="reduce", **more)  # type: ignore[arg-type]
    context.set_default_timeout(DEADLINE_MS)
    return context


def _picture(page: Page, name: str) -> None:
    folders = [ROOT / "build" / "screenshots"]
    if os.environ.get("GATELINK_SCREENSHOTS") == "docs":
        folders.append(ROOT / "docs" / "screenshots")
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png")


def test_a_day_of_an_administrator(plant: Plant, ada: Page, browser: Browser, tmp_path: Path) -> None:
    place = _adopt(plant, ada)
    _add_plc(ada)
    _invite(ada, tmp_path)
    _grant_by_approval(ada)
    appliance = plant.run(_come_back(plant, place))
    user = plant.connect_user("otto")
    _ask_for_access(plant, browser)
    _approve(ada)
    session = plant.run(open_session(user, appliance, reason="recipe 12"))
    _watch_and_end(plant, ada, session)
    _find_it_all(ada, plant, tmp_path)
    appliance.close()


def _adopt(plant: Plant, ada: Page) -> Any:
    pin, place = plant.run(ask_for_place(plant.gm.endpoint, None, SM_KEY, "sm 1.0"))
    assert isinstance(place, EnrolWaiting)
    # The overview that is on the screen says so by itself.
    ada.get_by_text("1 appliance waits to be adopted").wait_for()
    _picture(ada, "overview")
    ada.get_by_role("link", name="See who it is").click()
    expect(ada.get_by_text("127.0.0.1")).to_be_visible()
    ada.get_by_label("Domain").fill("acme/packaging")
    ada.get_by_label("Name").fill("press 7")
    _picture(ada, "adopt")
    ada.get_by_role("button", name="Adopt").click()
    expect(ada.get_by_role("heading", name="press 7")).to_be_visible()
    return pin


def _add_plc(ada: Page) -> None:
    ada.get_by_role("link", name="Add the first device").click()
    ada.get_by_label("What is it?").select_option("siemens-s7")
    ada.get_by_label("Name").fill("PLC")
    ada.get_by_label("IP address").fill("192.168.1.300")
    ada.get_by_role("button", name="Add device").click()
    # What is wrong is said, what was typed stays.
    expect(ada.get_by_role("alert")).to_contain_text("192.168.1.300")
    expect(ada.get_by_label("Name")).to_have_value("PLC")
    ada.get_by_label("IP address").fill("192.168.1.10")
    _picture(ada, "add-device")
    ada.get_by_role("button", name="Add device").click()
    expect(ada.get_by_role("row", name=re.compile("s7 .*tcp 102"))).to_be_visible()


def _invite(ada: Page, directory: Path) -> None:
    ada.get_by_role("link", name="Users", exact=True).click()
    ada.get_by_role("link", name="Add user").click()
    ada.get_by_label("Login name").fill("otto")
    ada.get_by_label("Domain").fill("acme")
    ada.get_by_role("button", name="Add user").click()
    ada.get_by_role("button", name="Make an invitation").click()
    expect(ada.get_by_role("img", name="The invitation as a QR code")).to_be_visible()
    ada.screenshot(path=directory / "invitation.png", full_page=True)
    assert invitation_in(read_picture(directory / "invitation.png")) == ada.locator("#invitation").inner_text()
    _picture(ada, "invitation")


def _grant_by_approval(ada: Page) -> None:
    ada.get_by_role("link", name="Next: grant something").click()
    expect(ada.get_by_label("Who", exact=True)).to_have_value("otto")
    ada.get_by_label("May reach").select_option("appliance")
    ada.get_by_label("Which").fill("acme/packaging/press 7")
    ada.get_by_label("By approval").check()
    ada.get_by_label("Why it is granted").fill("service contract")
    _picture(ada, "grant")
    ada.get_by_role("button", name="Grant access").click()
    expect(ada.get_by_text("each time: it opens nothing by itself")).to_be_visible()
    ada.goto(ada.url.split("/grants")[0] + "/requests")


async def _come_back(plant: Plant, pin: Any) -> Appliance:
    _, enrolment = await ask_for_place(plant.gm.endpoint, pin, SM_KEY, "sm 1.0")
    assert not isinstance(enrolment, EnrolWaiting)
    appliance = Appliance(plant.gm, enrolment)
    assert isinstance(await appliance.log_in(), messages.Welcome)
    return appliance


def _ask_for_access(plant: Plant, browser: Browser) -> None:
    context = _context(browser, color_scheme="dark")
    context.add_cookies([plant.sign_in("otto")])  # type: ignore[list-item]
    page = context.new_page()
    page.goto(f"{plant.url}/requests/add")
    # Who has a grant and no role sees what the grant is for, and nothing else.
    expect(page.get_by_role("link", name="Users", exact=True)).to_have_count(0)
    page.get_by_label("Appliance", exact=True).fill("acme/packaging/press 7")
    page.get_by_label("Why").fill("the film tears")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("Waiting").first).to_be_visible()
    _picture(page, "request-dark")
    for hidden in ("/appliances", "/users", "/grants", "/sessions", "/domains", "/"):
        page.goto(plant.url + hidden)
        assert "nordwind" not in page.content()
    context.close()


def _approve(ada: Page) -> None:
    # It has appeared on the screen of the approver.
    ada.get_by_role("link", name="otto → acme/packaging/press 7").click()
    ada.get_by_label("Answer").fill("until noon")
    _picture(ada, "approve")
    ada.get_by_role("button", name="Approve").click()
    expect(ada.get_by_text("Approved: the access is open")).to_be_visible()


def _watch_and_end(plant: Plant, ada: Page, session: OpenedSession) -> None:
    ada.get_by_role("link", name="Sessions").first.click()
    row = ada.get_by_role("row", name=re.compile("otto"))
    expect(row).to_contain_text("recipe 12")

    async def send() -> None:
        await asyncio.get_running_loop().sock_sendall(session.user_leg, bytes(100_000))

    plant.run(send())
    # Its bytes are counted on the page while it runs, without anybody doing anything.
    expect(row).to_contain_text(re.compile(r"↑ 1\d\d(\.\d)? kB"), timeout=DEADLINE_MS)
    _picture(ada, "sessions")
    row.get_by_role("link", name="End").click()
    ada.get_by_label("Why").fill("shift change")
    _picture(ada, "end-session")
    ada.get_by_role("button", name="End session").click()
    assert plant.run(session.is_cut())
    expect(ada.get_by_text("Over", exact=True).first).to_be_visible()
    session.close()
    # The record of the end is written behind it.
    plant.run(until(lambda: plant.gm.read(_has_ended, session.session_id)))


def _has_ended(records: Session, session_id: str) -> bool:
    return records.get_one(SessionRecord, session_id).ended_at is not None


def _find_it_all(ada: Page, plant: Plant, tmp_path: Path) -> None:
    ada.get_by_role("link", name="Audit log", exact=True).click()
    for event in (
        "appliance.adopted",
        "device.added",
        "user.added",
        "user.invited",
        "grant.added",
        "request.made",
        "request.approved",
        "session.opened",
        "session.ended",
    ):
        expect(ada.get_by_text(event, exact=True).first).to_be_visible()
    _picture(ada, "audit")
    ada.get_by_label("About", exact=True).select_option("request")
    ada.get_by_role("button", name="Filter").click()
    expect(ada.get_by_text("session.opened", exact=True)).to_have_count(0)
    ada.goto(f"{plant.url}/audit")
    with ada.expect_download() as downloading:
        ada.get_by_role("button", name="Export, to verify").click()
    file = tmp_path / "audit.jsonl"
    downloading.value.save_as(file)
    result = CliRunner().invoke(program, ["--data", str(plant.gm.directory.path), "audit", "verify", str(file)])
    assert result.exit_code == 0, result.output


def test_by_keyboard_alone(plant: Plant, browser: Browser) -> None:
    context = _context(browser)
    context.add_cookies([plant.sign_in("ada")])  # type: ignore[list-item]
    page = context.new_page()
    page.goto(plant.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Add appliance")).to_be_focused()
    page.keyboard.press("Enter")
    _tab_to(page, "Domain")
    page.keyboard.type("acme/bottling")
    page.keyboard.press("Tab")
    page.keyboard.type("mixer")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Claim for acme/bottling/mixer").wait_for()
    claim = page.locator("#claim").inner_text()
    assert claim.startswith("glc1_")
    _picture(page, "claim")
    page.goto(f"{plant.url}/appliances")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("mix")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_be_focused()
    context.close()


def _tab_to(page: Page, label: str) -> None:
    wanted = page.get_by_label(label, exact=True)
    for _ in range(40):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
        shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert shown != "none", page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
    pytest.fail(f"{label} is not reached by the keyboard")


def test_everything_works_when_the_browser_runs_no_script(plant: Plant, browser: Browser) -> None:
    context = _context(browser, java_script_enabled=False)
    context.add_cookies([plant.sign_in("ada")])  # type: ignore[list-item]
    page = context.new_page()
    page.goto(f"{plant.url}/appliances")
    page.get_by_role("searchbox").fill("wrapper")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="wrapper").click()
    page.get_by_role("link", name="Remove").click()
    expect(page.get_by_role("heading", name="Remove acme/packaging/wrapper?")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("The appliance is removed.")).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 700})
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Alarms").click()
    expect(page.get_by_role("heading", name="Alarms")).to_be_visible()
    context.close()

"""A technician's tasks on the set-up page, in real Chromium on the machine-side port of a real unit."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, StorageState, expect

from browser.technician import (
    DESK,
    PAGES,
    PASSWORD,
    PATIENCE_S,
    PHONE,
    SHORT_TRIAL_S,
    TRIAL_S,
    URL,
    Unit,
    Watcher,
    chromium_at,
    overflow,
    small_targets,
    unit,
    unnamed_fields,
    weak_contrasts,
)
from lab import knock, wait_until
from lab.products import DOMAIN

pytestmark = [pytest.mark.netns, pytest.mark.slow]


class Story:
    """What the first run showed."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.faults: list[str] = []
        self.steps: list[str] = []
        self.cookies: StorageState | None = None
        """Of somebody who is logged in."""


@pytest.fixture(scope="module")
def new_unit() -> Iterator[Unit]:
    with unit() as found:
        yield found


@pytest.fixture(scope="module")
def chromium(new_unit: Unit, playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium_at(new_unit.laptop, playwright, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def story(new_unit: Unit, chromium: Browser) -> Story:
    """The first run, on a phone: from the label to 'connected'."""
    story = Story()
    context = chromium.new_context(viewport=PHONE, ignore_https_errors=True, has_touch=True)
    watcher = Watcher(context)
    page = context.new_page()

    def look(step: str, heading: str) -> None:
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        page.wait_for_load_state()
        story.steps.append(step)
        story.faults += [f"{step}: {overflow(page)} pixels too wide"] if overflow(page) > 0 else []
        story.faults += [f"{step}: {fault}" for fault in (*unnamed_fields(page), *small_targets(page))]

    claim = new_unit.gm.claim()
    began = time.monotonic()
    page.goto(URL)
    look("login", "A new SiteManager")
    page.get_by_label("Secret on the label").fill("WRNG-WRNG-WRNG-WRNG")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("the password is wrong")
    page.get_by_label("Secret on the label").fill(new_unit.secret.lower())
    page.get_by_role("button", name="Log in").click()
    look("password", "First, choose a password")
    page.get_by_label("New password", exact=False).first.fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Choose this password").click()
    expect(page.get_by_role("heading", name="The way out of the site")).to_be_visible()
    expect(page.get_by_text("The way out is eth0")).to_be_visible()
    look("way out", "The way out of the site")
    page.get_by_role("button", name="Go on").click()
    look("claim", "Where does this unit belong?")
    page.get_by_label("or paste it here").fill("glc1_" + claim[5:40])
    page.get_by_role("button", name="Use this claim").click()
    expect(page.get_by_role("alert")).to_contain_text("damaged or cut off")
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Choose the file").click()
    chooser.value.set_files({"name": "press.claim", "mimeType": "text/plain", "buffer": claim.encode()})
    expect(page.get_by_label("or paste it here")).to_have_value(claim)
    page.get_by_role("button", name="Use this claim").click()
    look("test", "Test")
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("press is connected")).to_be_visible()
    look("done", "Done")
    story.seconds = time.monotonic() - began
    story.faults += watcher.complaints
    story.cookies = context.storage_state()
    context.close()
    return story


@pytest.fixture
def _short_trial(new_unit: Unit, story: Story) -> Iterator[None]:
    """A daemon that undoes a change soon; before a browser looks at it, and until none does."""
    assert story.steps
    new_unit.restart_daemon(SHORT_TRIAL_S)
    yield
    new_unit.restart_daemon(TRIAL_S)


@pytest.fixture
def context(new_unit: Unit, story: Story, chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that is logged in on a unit that is connected; it complains of nothing."""
    assert story.steps
    context = chromium.new_context(viewport=DESK, ignore_https_errors=True, storage_state=story.cookies)
    watcher = Watcher(context)
    page = context.new_page()
    page.goto(f"{URL}/status")
    if page.url.endswith("/login"):
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="press")).to_be_visible()
    story.cookies = context.storage_state()
    page.close()
    yield context
    context.close()
    if new_unit.sm.run("status").stdout.count("LOCKED"):
        new_unit.sm.run("unlock")
    assert watcher.complaints == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def connected_since(found: Unit) -> float:
    status = found.sm.ask("status")
    return float(status["since"]) if status["connected"] else 0.0


def test_unit_is_connected_in_the_wizard_on_a_phone(new_unit: Unit, story: Story) -> None:
    assert story.steps == ["login", "password", "way out", "claim", "test", "done"]
    assert story.faults == []
    assert new_unit.gm.is_online()
    status = new_unit.sm.ask("status")
    assert (status["name"], status["pin_how"]) == ("press", "fingerprint")
    assert PASSWORD not in new_unit.sm.process.log  # type: ignore[union-attr]
    print(f"\nfirst run, from the label to 'connected': {story.seconds:.1f} s of the machine's time")


def test_every_page_is_whole_on_a_phone_and_in_the_dark(context: BrowserContext) -> None:
    page = context.new_page()
    faults: list[str] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(PHONE)
        for name in PAGES:
            answer = page.goto(f"{URL}/{name}")
            assert answer is not None
            assert answer.status == 200, name
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
            faults += [f"{name}: {overflow(page)} pixels too wide"] if overflow(page) > 0 else []
            faults += [f"{name} ({scheme}): {fault}" for fault in weak_contrasts(page)]
            faults += [f"{name}: {fault}" for fault in (*unnamed_fields(page), *small_targets(page))]
    assert faults == []


def test_page_is_used_by_the_keyboard_alone(new_unit: Unit, chromium: Browser, story: Story) -> None:
    assert story.steps
    context = chromium.new_context(viewport=DESK, ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{URL}/login")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="press")).to_be_visible()
    page.goto(f"{URL}/access")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Lock now":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".lock .state")).to_have_text("Locked")
    assert new_unit.sm.ask("status")["locked"] == "locked by its owner"
    new_unit.sm.run("unlock")
    context.close()


def test_nobody_comes_in_when_it_is_locked_on_the_page(new_unit: Unit, page: Page) -> None:
    page.goto(f"{URL}/access")
    page.get_by_role("button", name="Lock now").click()
    expect(page.locator(".lock .state")).to_have_text("Locked")
    assert new_unit.sm.ask("status")["locked"] == "locked by its owner"
    page.get_by_label("Allow for").select_option("15")
    page.get_by_role("button", name="Allow for this time").click()
    expect(page.locator(".lock .state")).to_contain_text("Allowed for 1")
    status = new_unit.sm.ask("status")
    assert status["locked"] is None
    assert 800 < status["consent_left_s"] <= 900
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.locator(".lock .state")).to_have_text("Allowed")


@pytest.mark.usefixtures("_short_trial")
def test_changed_address_is_rolled_back_when_the_page_is_not_reached_with_it(new_unit: Unit, page: Page) -> None:
    page.goto(f"{URL}/network")
    page.get_by_label("Own address on this port").fill("10.9.9.1/24")
    page.get_by_role("button", name="Try this").click(no_wait_after=True)
    sm = new_unit.sm
    assert sm.process is not None
    sm.process.wait_for_line("a change is on trial", PATIENCE_S)
    assert "10.9.9.1/24" in sm.place.run(["ip", "addr", "show", "eth1"]).stdout
    sm.process.wait_for_line("the change was undone: nobody kept it", PATIENCE_S)
    wait_until(lambda: knock(new_unit.laptop, "10.0.0.1", 443) == "open", PATIENCE_S, "the page at its old address")
    assert "10.9.9.1" not in sm.place.run(["ip", "addr", "show", "eth1"]).stdout
    page.goto(f"{URL}/network")
    expect(page.get_by_role("status")).to_contain_text("The change was undone")
    expect(page.get_by_label("Own address on this port")).to_have_value("10.0.0.1/24")


def test_change_is_kept_when_the_gatemanager_is_reached_with_it(new_unit: Unit, page: Page) -> None:
    page.goto(f"{URL}/gatemanager")
    page.get_by_label("Preferred port").select_option("443")
    page.get_by_role("button", name="Try this").click()
    expect(page.locator("[data-countdown]")).to_be_visible()
    keep = page.get_by_role("button", name="Keep the change")
    expect(keep).to_be_enabled()
    keep.click()
    expect(page.get_by_text("The change is kept.")).to_be_visible()
    assert new_unit.sm.ask("status")["way"].endswith(":443")
    assert "ports = [443, 11444, 80]" in new_unit.sm.run("config", "show").stdout


@pytest.mark.usefixtures("_short_trial")
def test_change_is_undone_when_the_gatemanager_stays_away_with_it(new_unit: Unit, page: Page) -> None:
    before = connected_since(new_unit)
    assert new_unit.sm.process is not None
    said = len(new_unit.sm.process.lines)
    factory = new_unit.lab.firewall("factory")
    factory.close_ports(80)
    page.goto(f"{URL}/gatemanager")
    page.get_by_label("Ports to try").fill("80")
    page.get_by_label("Preferred port").select_option("80")
    page.get_by_role("button", name="Try this").click()
    expect(page.get_by_text("Waiting for the GateManager")).to_be_visible()
    expect(page.get_by_role("button", name="Keep the change")).to_be_disabled()
    new_unit.sm.process.wait_for_line("the change was undone", PATIENCE_S, after=said)
    factory.open()
    wait_until(lambda: connected_since(new_unit) > before, PATIENCE_S, "the connection")


def test_unit_comes_back_with_the_old_configuration_when_the_daemon_dies_during_a_trial(
    new_unit: Unit, page: Page
) -> None:
    assert new_unit.sm.process is not None
    said = len(new_unit.sm.process.lines)
    page.goto(f"{URL}/network")
    page.get_by_label("Own address on this port").fill("10.9.9.1/24")
    page.get_by_role("button", name="Try this").click(no_wait_after=True)
    sm = new_unit.sm
    assert sm.process is not None
    sm.process.wait_for_line("a change is on trial", PATIENCE_S, after=said)
    assert "10.9.9.1/24" in sm.place.run(["ip", "addr", "show", "eth1"]).stdout
    sm.kill9()
    new_unit.start_daemon()
    wait_until(lambda: knock(new_unit.laptop, "10.0.0.1", 443) == "open", PATIENCE_S, "the page at its old address")
    assert "10.9.9.1" not in sm.place.run(["ip", "addr", "show", "eth1"]).stdout
    page.goto(f"{URL}/login")
    expect(page.get_by_label("Password")).to_be_visible()


def test_configuration_is_saved_and_restored_without_its_secrets(new_unit: Unit, page: Page) -> None:
    page.goto(f"{URL}/backup")
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as a file").click()
    text = download.value.path().read_text()
    assert 'dev_interfaces = ["eth1"]' in text
    page.get_by_label("Choose the file, or paste").fill(text.replace("max_sessions = 16", "max_sessions = 0"))
    page.get_by_role("button", name="Try this configuration").click()
    expect(page.get_by_role("alert")).to_contain_text("max_sessions")
    page.get_by_label("Choose the file, or paste").fill(text.replace("max_sessions = 16", "max_sessions = 4"))
    page.get_by_role("button", name="Try this configuration").click()
    page.get_by_role("button", name="Keep the change").click()
    expect(page.get_by_text("The change is kept.")).to_be_visible()
    assert "max_sessions = 4" in new_unit.sm.run("config", "show").stdout


def test_diagnosis_says_what_was_seen_and_devices_are_found(new_unit: Unit, page: Page) -> None:
    page.goto(f"{URL}/diagnosis")
    page.get_by_role("button", name="Look at everything").click()
    expect(page.get_by_text("uplink eth0 is connected")).to_be_visible(timeout=70_000)
    expect(page.get_by_label("Letter")).to_have_value(re.compile(r"203\.0\.113\.10"))
    page.goto(f"{URL}/devices")
    page.get_by_role("button", name="Look now").click()
    expect(page.get_by_text("192.168.50.10")).to_be_visible(timeout=120_000)


def test_page_is_neither_reached_from_outside_nor_by_another_name(new_unit: Unit, story: Story) -> None:
    assert story.steps
    for port in (80, 443):
        assert knock(new_unit.lab.factory, "10.20.1.2", port) != "open"
    curl = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-m", f"{PATIENCE_S:.0f}"]
    laptop = new_unit.laptop
    assert laptop.run([*curl, f"{URL}/login"]).stdout == "200"
    assert laptop.run([*curl, "-H", "Host: evil.example", f"{URL}/login"]).stdout == "421"
    assert laptop.run([*curl, f"{URL}/status"]).stdout == "303"
    form = ["-d", "password=x", "-H", "Origin: https://evil.example"]
    assert laptop.run([*curl, *form, f"{URL}/login"]).stdout == "403"
    assert laptop.run([*curl, "-d", "@-", f"{URL}/login"], stdin_text="x" * 300_000).stdout == "413"
    assert new_unit.page is not None
    rows = Path(f"/proc/{new_unit.page.pid}/status").read_text().splitlines()
    status = dict(row.split(":", 1) for row in rows if ":" in row)
    if new_unit.user != "root":
        assert status["CapEff"].strip() == "0" * 16
        assert status["Uid"].split()[0] != "0"


def test_unit_is_adopted_without_a_claim_after_it_forgot_its_gatemanager(new_unit: Unit, page: Page) -> None:
    """Its serial is there to compare, on both sides, before anybody adopts it."""
    sm, gm = new_unit.sm, new_unit.gm
    assert sm.process is not None
    page.goto(f"{URL}/gatemanager")
    page.get_by_label("To be sure").fill("forget")
    page.get_by_role("button", name="Forget the GateManager").click()
    assert sm.process.wait(PATIENCE_S) == 0
    new_unit.start_daemon()
    page.goto(f"{URL}/login")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="The way out of the site")).to_be_visible()
    page.goto(f"{URL}/setup/claim")
    page.get_by_text("Without a claim").click()
    page.get_by_label("Address of the GateManager").fill("203.0.113.10")
    page.get_by_role("button", name="Ask to be adopted").click()
    expect(page.get_by_text("Compare:")).to_be_visible(timeout=20_000)
    assert gm.ask("certificate", "show")["serial"] in page.locator("main").inner_text()
    (waiting,) = gm.ask("appliances", "waiting")
    gm.run("appliances", "adopt", waiting["id"], "--domain", DOMAIN, "--name", "adopted")
    page.get_by_role("link", name="Done").click(timeout=60_000)
    expect(page.get_by_text("adopted is connected")).to_be_visible()


def test_daemon_and_page_are_small(new_unit: Unit, story: Story) -> None:
    assert story.steps
    rss, pss = new_unit.memory_kb("Rss"), new_unit.memory_kb("Pss")
    print(f"\ndaemon and page: resident {rss[0]} + {rss[1]} kB, {pss[0]} + {pss[1]} kB with shared pages counted once")
    assert sum(pss) < 75_000
    assert sum(rss) < 110_000

"""The local page in a real Chromium: a person finds a machine, connects, sees what happens; and nobody else gets in."""

from __future__ import annotations

import re
import select
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from browser.lm_desk import PageBench, fleet, hall, machine
from gatelink.messages import Connect, DeviceAccess, Refusal, RequestAccess, TreeChanged
from inproc.lm_office import DEADLINE_S
from lm_client.host.fake import FakeAdapter

FRAME = b"\xff" * 12 + b"\x08\x00" + b"x" * 1200


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageBench]:
    with PageBench(tmp_path_factory.mktemp("lm-page")) as bench:
        yield bench


@pytest.fixture
def desk(whole: PageBench) -> Iterator[PageBench]:
    whole.show(*hall())
    yield whole
    whole.gm.said.clear()


@pytest.fixture
def page(desk: PageBench, browser: Browser) -> Iterator[Page]:
    """The page as ``lm ui`` opens it. It asks no other host, and says nothing in the console."""
    context = browser.new_context(viewport={"width": 1360, "height": 860})
    found = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("request", lambda request: asked.append(request.url))
    found.goto(desk.link())
    yield found
    origin = re.match(r"http://[^/]+/", found.url)
    context.close()
    assert said == []
    assert origin is not None
    assert [url for url in asked if not url.startswith(origin[0])] == []


def _connect(page: Page, name: str, reason: str = "") -> None:
    page.locator(".side").get_by_role("link", name=name).first.click()
    page.locator("#reason").fill(reason)
    page.locator("#connect").get_by_role("button", name="Connect").click()
    expect(page.locator(".session h2", has_text=name)).to_be_visible()


def _disconnect(page: Page) -> None:
    page.locator(".session").get_by_role("button", name="Disconnect").first.click()


def test_person_connects_and_sees_what_to_type_and_how_much_flows(desk: PageBench, page: Page) -> None:
    expect(page.locator("#bar")).to_contain_text("anna at gm")
    _connect(page, "press", "looking at the press")
    expect(page.locator("#machine")).to_contain_text("plc.press.hall-3.acme.gatelink")
    expect(page.locator("#machine .copy").first).to_have_text("192.168.50.10")
    expect(page.locator("#machine tbody tr").first).to_contain_text("answers")
    connect = desk.run(desk.gm.heard(Connect))
    assert connect.reason == "looking at the press"
    adapter: FakeAdapter = desk.office.network.adapters["gl0"]
    for _ in range(50):
        # A pair of sockets holds ten frames: the pump takes them when it has its turn.
        _, ready, _ = select.select([], [adapter.wire], [], DEADLINE_S)
        assert ready, "the pump does not read"
        adapter.wire.send(FRAME)
    expect(page.locator(".session .figures")).to_contain_text(re.compile(r"sent, \d+(\.\d)? KiB"))
    expect(page.locator(".plot .sent")).to_have_attribute("d", re.compile(r"^M.*L"))
    # The twin of another hall: at its virtual address meanwhile.
    page.locator(".side").get_by_role("link", name="press").nth(1).click()
    expect(page.locator("#machine")).to_contain_text("not 192.168.50.10: in use for press")
    _disconnect(page)
    expect(page.locator(".session")).to_have_count(0)
    desk.run(desk.office.until(lambda: desk.office.network.adapters == {}, "the adapter to go"))
    expect(page.locator("#ended")).to_contain_text("disconnected by the user")


def test_page_follows_when_the_tree_changes(desk: PageBench, page: Page) -> None:
    expect(page.locator("#rows")).to_contain_text("packer")
    desk.gm.appliances = (*hall(), machine(900, "Acme/Hall 9", "brand new lathe"))
    desk.call(lambda: desk.gm.send(TreeChanged()))
    expect(page.locator("#rows")).to_contain_text("brand new lathe")


def test_favourite_is_kept_when_the_page_is_loaded_again(desk: PageBench, page: Page) -> None:
    row = page.locator("#rows .row", has_text="drill").first
    row.hover()
    row.get_by_role("button", name="as a favourite").click()
    expect(page.locator("[id^=favourite-]")).to_have_count(1)
    page.reload()
    expect(page.locator("[id^=favourite-]")).to_contain_text("drill")
    page.locator("[id^=favourite-]").get_by_role("button").click()
    expect(page.locator("[id^=favourite-]")).to_have_count(0)


def test_domain_folds_and_search_finds_by_words_of_anything(desk: PageBench, page: Page) -> None:
    page.get_by_role("button", name="Hall 4").click()
    expect(page.locator("#rows .row", has_text="Line 1")).to_have_count(0)
    page.get_by_role("button", name="Hall 4").click()
    expect(page.locator("#rows .row", has_text="Line 1")).to_have_count(1)
    page.keyboard.press("/")
    page.keyboard.type("graz drill")
    expect(page.locator("#rows a")).to_have_count(1)
    expect(page.locator("#q")).to_be_focused()
    expect(page).to_have_url(re.compile("q=graz"))
    page.locator("#q").fill("no such thing")
    expect(page.locator(".side")).to_contain_text("Nothing is called")


def test_person_asks_for_access_and_hears_the_decision(desk: PageBench, page: Page) -> None:
    first, *others = hall()
    plc = first.devices[0]
    asked = msgspec.structs.replace(first, devices=(), requestable=(plc,))
    desk.show(asked, *others)
    page.reload()
    expect(page.locator("#rows .row", has_text="press").first).to_contain_text("on request")
    page.locator(".side").get_by_role("link", name="press").first.click()
    page.locator("#why").fill("drive is in fault 7")
    page.locator("#hours").select_option("8")
    page.get_by_role("button", name="Request access").click()
    expect(page.locator("#access")).to_contain_text("waiting for an approver")
    request = desk.run(desk.gm.heard(RequestAccess))
    assert (request.reason, request.duration_s, request.appliance_id) == ("drive is in fault 7", 8 * 3600, "a100")
    desk.decide("denied", "call me first")
    expect(page.locator("#access")).to_contain_text("denied: call me first")
    desk.show(*hall())
    desk.decide("approved")
    expect(page.locator("#connect")).to_be_visible()


def test_refusal_of_the_gm_is_told_in_its_words(desk: PageBench, page: Page) -> None:
    desk.gm.refuse_connect = Refusal(code="no-right", text="you have no right at this time of day")
    try:
        page.locator(".side").get_by_role("link", name="saw").first.click()
        page.locator("#connect").get_by_role("button", name="Connect").click()
        expect(page.locator("#notices")).to_contain_text("you have no right at this time of day")
    finally:
        desk.gm.refuse_connect = None


def test_what_others_wrote_is_text_and_never_markup(desk: PageBench, page: Page) -> None:
    bad = '<img src=x onerror="document.title=1">'
    plc = DeviceAccess("d1", bad, "192.168.50.10", (), "100.96.0.1")
    desk.show(type(hall()[0])("a1", bad, bad, True, (plc,)))
    page.reload()
    expect(page.locator("#machine h1")).to_contain_text(bad)
    assert page.locator("img").count() == 0


def test_log_and_pin_are_shown(desk: PageBench, page: Page) -> None:
    page.get_by_role("link", name="Log").click()
    expect(page.locator(".log")).to_contain_text("logged in to gm as anna")
    page.get_by_role("link", name="This PC").click()
    expect(page.locator(".facts").first).to_contain_text(desk.gm.scripted.pin.serial)


def test_everything_works_without_script(desk: PageBench, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    try:
        plain = context.new_page()
        plain.goto(desk.link())
        plain.locator(".side").get_by_role("link", name="oven").first.click()
        plain.locator("#connect").get_by_role("button", name="Connect").click()
        expect(plain.locator(".session h2")).to_have_text("oven")
        plain.locator(".session").get_by_role("button", name="Disconnect").click()
        expect(plain.locator(".session")).to_have_count(0)
        plain.locator("#q").fill("graz")
        plain.locator("#q").press("Enter")
        expect(plain.locator("#rows a")).to_have_count(5)
    finally:
        context.close()


def test_tree_of_5000_opens_and_is_searched_without_a_wait(desk: PageBench, page: Page) -> None:
    desk.show(*fleet())
    page.reload()
    # What this process works for it: how long it waits for its turn says nothing of the page.
    begin, worked = time.perf_counter(), time.process_time()
    page.goto(page.url)
    expect(page.locator(".side")).to_contain_text("5000 machines")
    opened_s, opening_s = time.perf_counter() - begin, time.process_time() - worked
    begin, worked = time.perf_counter(), time.process_time()
    page.locator("#q").fill("machine 4321")
    expect(page.locator("#rows a")).to_have_count(1)
    found_s, finding_s = time.perf_counter() - begin, time.process_time() - worked
    print(f"\n5,000 appliances: opened in {opened_s * 1000:.0f} ms, searched in {found_s * 1000:.0f} ms")
    assert opening_s < 5
    assert finding_s < 5
    page.locator("#q").fill("")
    page.get_by_role("button", name="plant 3").first.click()
    expect(page.locator("#rows a").first).to_be_visible()


# Who gets in


def _get(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def _post(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, b"appliance=a1", {n.replace("_", "-"): v for n, v in headers.items()})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_link_opens_the_page_once(desk: PageBench, browser: Browser) -> None:
    link = desk.link()
    one, other = browser.new_context(), browser.new_context()
    try:
        first = one.new_page()
        first.goto(link)
        expect(first.locator("#bar")).to_be_visible()
        (cookie,) = one.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        second = other.new_page()
        second.goto(link)
        expect(second.locator("body")).to_contain_text("used already")
        second.goto(link.split("/enter")[0])
        expect(second.locator("body")).to_contain_text("belongs to somebody else")
    finally:
        one.close()
        other.close()


def test_nobody_gets_in_with_another_name_origin_or_word(desk: PageBench) -> None:
    base, _, word = desk.link().partition("/enter")
    assert _get(f"{base}/") == 403
    assert _get(f"{base}/static/page.css") == 403
    assert _get(f"{base}/enter?word=x.y.z") == 403
    assert _get(f"{base}/enter{word[:-1]}") == 403
    assert _get(f"{base}/enter{word}", Host="evil.example.com") == 403
    assert _get(f"{base}/enter{word}", Host=base.replace("http://127.0.0.1", "localhost")) == 403
    assert _get(f"{base}/enter{word}", Sec_Fetch_Site="cross-site") == 403
    assert _post(f"{base}/enter{word}", Origin="http://evil.example.com") == 403
    assert _post(f"{base}/connect", Origin=base) == 403


def test_form_of_another_page_is_refused_though_the_cookie_is_right(desk: PageBench, browser: Browser) -> None:
    context = browser.new_context()
    try:
        context.new_page().goto(desk.link())
        (cookie,) = context.cookies()
        base = desk.link().split("/enter")[0]
        cookies = f"{cookie['name']}={cookie['value']}"
        assert _get(f"{base}/", Cookie=cookies) == 200
        assert _post(f"{base}/disconnect", Cookie=cookies) == 403
        assert _post(f"{base}/disconnect", Cookie=cookies, Origin="null") == 403
        assert _post(f"{base}/disconnect", Cookie=cookies, Origin=base.replace("127.0.0.1", "localhost")) == 403
        assert _get(f"{base}/disconnect", Cookie=cookies) == 405
    finally:
        context.close()


def test_pictures_of_the_page(desk: PageBench, page: Page) -> None:
    """For people who look at them: build/screenshots/lm-*.png."""
    directory = Path(__file__).parents[2] / "build" / "screenshots"
    directory.mkdir(parents=True, exist_ok=True)
    _connect(page, "press")
    page.screenshot(path=directory / "lm-machines.png")
    page.emulate_media(color_scheme="dark")
    page.locator(".side").get_by_role("link", name="drill").first.click()
    page.screenshot(path=directory / "lm-machines-dark.png")
    page.set_viewport_size({"width": 375, "height": 800})
    page.screenshot(path=directory / "lm-phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.set_viewport_size({"width": 1360, "height": 860})
    _disconnect(page)
    expect(page.locator(".session")).to_have_count(0)

"""Logging in on the local page, with the real agent behind it: password, second factor, a wrong one, and who is new."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import segno
from playwright.sync_api import Browser, FilePayload, JSHandle, Page, Playwright, expect

from browser.conftest import ARGUMENTS, CHROMIUM
from browser.lm_desk import LoginBench
from gatelink.claims import Claim, claim_text
from gatelink.messages import LoginAnswer, LoginChallenge, LoginResend
from inproc.lm_office import PASSWORD

INVITATION = claim_text(Claim("user", "i1", b"s" * 16, ("gm.example.com",), None, "eve"))
CLAIM = claim_text(Claim("appliance", "c1", b"s" * 16, ("gm.example.com",)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginBench]:
    with LoginBench(tmp_path_factory.mktemp("lm-login")) as bench:
        yield bench


@pytest.fixture
def page(whole: LoginBench, browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    found = context.new_page()
    said: list[str] = []
    found.on("pageerror", lambda error: said.append(str(error)))
    found.goto(whole.link())
    yield found
    context.close()
    assert said == []


def _challenge(text: str, tries_left: int) -> LoginChallenge:
    return LoginChallenge(kinds=("sms", "totp"), text=text, expires_s=60, resend_after_s=30, tries_left=tries_left)


def test_person_logs_in_with_a_password_and_a_code(whole: LoginBench, page: Page) -> None:
    whole.gm.challenges = (_challenge("sent to +49 ...77", 3), _challenge("sent again", 3), _challenge("wrong code", 2))
    expect(page.locator("main")).to_contain_text("As anna")
    page.locator("#password").fill("not the password")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#notices")).to_contain_text("the password is wrong")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#challenge")).to_have_text("sent to +49 ...77")
    page.get_by_role("button", name="Send it again").click()
    expect(page.locator("#challenge")).to_have_text("sent again")
    page.locator("#code").fill("000000")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#challenge")).to_have_text("wrong code")
    page.locator("#kind").select_option("totp")
    page.locator("#code").fill("123456")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#bar")).to_contain_text("anna at gm")
    expect(page.locator("#rows")).to_contain_text("press")
    answers = [LoginAnswer(kind="sms", code="000000"), LoginAnswer(kind="totp", code="123456")]
    assert whole.gm.answers == [LoginResend(), *answers]
    whole.gm.challenges = ()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("Log in")
    page.reload()
    expect(page.locator("#password")).to_be_visible()


def test_login_can_be_begun_again(whole: LoginBench, page: Page) -> None:
    whole.gm.challenges = (_challenge("sent", 3),)
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#challenge")).to_have_text("sent")
    page.get_by_role("button", name="Begin again").click()
    expect(page.locator("#password")).to_be_visible()
    whole.gm.challenges = ()
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#bar")).to_contain_text("anna at gm")
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("Log in")


def test_who_is_new_is_asked_for_an_invitation(whole: LoginBench, page: Page) -> None:
    before = whole.home.profile_path.read_bytes()
    whole.home.profile_path.unlink()
    try:
        page.reload()
        expect(page.locator("h1")).to_have_text("Welcome")
        page.locator("#invitation").fill("gli1_nonsense")
        page.locator("#first").fill("a long password")
        page.locator("#second").fill("another password")
        page.get_by_role("button", name="Redeem").click()
        expect(page.locator("#notices")).to_contain_text("the two passwords are not the same")
        page.locator("#first").fill("a long password")
        page.locator("#second").fill("a long password")
        page.locator("#invitation").fill("gli1_nonsense")
        page.get_by_role("button", name="Redeem").click()
        expect(page.locator("#notices .notice[data-state=bad]:not(.away)")).to_be_visible()
        assert not whole.home.profile_path.exists()
    finally:
        whole.home.write(whole.home.profile_path, before)


def test_invitation_is_read_from_a_picture_that_is_chosen_dropped_pasted_or_filmed(
    whole: LoginBench, page: Page, playwright: Playwright, tmp_path: Path
) -> None:
    before = whole.home.profile_path.read_bytes()
    whole.home.profile_path.unlink()
    try:
        page.reload()
        expect(page.locator("#qr-film")).to_be_hidden()  # this browser has no camera
        for give in (_choose, _drop, _paste):
            page.locator("#invitation").fill("")
            give(page, _code(CLAIM))
            expect(page.locator("#qr-told")).to_contain_text("is for the other side")
            expect(page.locator("#invitation")).to_have_value("")
            give(page, _code(INVITATION))
            expect(page.locator("#qr-told")).to_have_text(
                "Invitation for eve at gm.example.com. Now choose a password."
            )
            expect(page.locator("#invitation")).to_have_value(INVITATION)
            expect(page.locator("#first")).to_be_focused()
        _choose(page, b"no picture")
        expect(page.locator("#qr-told")).to_contain_text("cannot show this file as a picture")
        expect(page.locator("#invitation")).to_have_value(INVITATION)
        film, flags = tmp_path / "film.y4m", ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
        _film(film, INVITATION)
        with playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, *flags, f"--use-file-for-fake-video-capture={film}"]
        ) as other:
            filming = other.new_page()
            filming.goto(whole.link())
            filming.get_by_role("button", name="Use the camera").click()
            expect(filming.locator("#invitation")).to_have_value(INVITATION)
            expect(filming.locator("#qr-camera")).to_be_hidden()
    finally:
        whole.home.write(whole.home.profile_path, before)


def _code(text: str) -> bytes:
    """A picture of the code, as the portal draws it, in a window around it."""
    drawn = io.BytesIO()
    segno.make(text, error="l", boost_error=False).save(drawn, kind="png", scale=4, border=12)
    return drawn.getvalue()


def _film(path: Path, text: str) -> None:
    """What the browser's camera sees: YUV4MPEG2, 640 x 480."""
    rows = [bytes(0 if cell else 255 for cell in row) for row in segno.make(text, error="l").matrix_iter(3, 4)]
    width, height = 640, 480
    blank = bytes([200])
    lines = [row.center(width, blank) for row in rows]
    lines = [blank * width] * ((height - len(lines)) // 2) + lines
    lines += [blank * width] * (height - len(lines))
    frame = b"FRAME\n" + b"".join(lines) + bytes([128]) * (width * height // 2)
    path.write_bytes(b"YUV4MPEG2 W640 H480 F5:1 Ip A1:1 C420jpeg\n" + frame * 5)


def _choose(page: Page, data: bytes) -> None:
    file: FilePayload = {"name": "code.png", "mimeType": "image/png", "buffer": data}
    page.locator("#qr-file").set_input_files(files=[file])


def _drop(page: Page, data: bytes) -> None:
    page.locator("#invitation").dispatch_event("drop", {"dataTransfer": _carried(page, data)})


def _paste(page: Page, data: bytes) -> None:
    event = "new ClipboardEvent('paste', {clipboardData: carried, bubbles: true})"
    field = page.locator("#invitation").element_handle()
    page.evaluate(f"([field, carried]) => field.dispatchEvent({event})", [field, _carried(page, data)])


def _carried(page: Page, data: bytes) -> JSHandle:
    script = """(text) => {
      const carried = new DataTransfer(), bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      carried.items.add(new File([bytes], "code.png", { type: "image/png" }));
      return carried;
    }"""
    return page.evaluate_handle(script, b64encode(data).decode())


def test_person_imports_a_file_into_another_profile_and_goes_back_and_forth(whole: LoginBench, page: Page) -> None:
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Profiles").click()
    expect(page.locator("#profiles tbody tr")).to_have_count(1)
    page.locator("#make-name").fill("other")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("h1")).to_have_text("Welcome")
    other = whole.home.of_profile("other")
    other.write(other.config_path, whole.home.config_path.read_bytes())
    page.get_by_text("With a certificate file").click()
    _import(page, whole, PASSWORD, b"0 this is none")
    expect(page.locator("#notices")).to_contain_text("the password is wrong, or the certificate file is damaged")
    assert not other.profile_path.exists()
    _import(page, whole, PASSWORD, whole.home.identity_path.read_bytes())
    expect(page.locator("#bar .badge")).to_have_text("other")
    expect(page.locator("#bar")).to_contain_text("anna at gm")
    assert other.profile().pin_how == "first-use"
    late = page.context.new_page()
    late.route("**/live*", lambda route: route.abort())  # a window that is not told of what others do
    late.goto(page.url)
    page.get_by_role("link", name="Profiles").click()
    expect(page.locator("#profiles")).to_contain_text("other")
    expect(page.locator("#profiles .state[data-state=good]")).to_have_count(2)
    page.get_by_role("button", name="Show usual").click()
    expect(page.locator("#bar .badge")).to_have_count(0)
    late.get_by_role("button", name="Log out").click()
    expect(late.locator("#notices")).to_contain_text("another profile was chosen in another window")
    late.close()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("Log in")
    page.get_by_role("link", name="Another GateManager or user").click()
    page.get_by_role("button", name="Show other").click()
    expect(page.locator("#bar")).to_contain_text("anna at gm")
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("Log in")
    page.get_by_role("link", name="Another GateManager or user").click()
    page.get_by_role("button", name="Show usual").click()


def _import(page: Page, whole: LoginBench, password: str, data: bytes) -> None:
    file: FilePayload = {"name": "anna.p12", "mimeType": "application/x-pkcs12", "buffer": data}
    page.locator("#p12").set_input_files(files=[file])
    page.locator("#p12-gm").fill(whole.home.profile().addresses[0])
    page.locator("#p12-password").fill(password)
    page.get_by_role("button", name="Import and log in").click()

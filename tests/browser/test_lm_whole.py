"""The local page with the real system behind it: Chromium on the PC, the PLC behind a SiteManager, a Modbus client."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, FilePayload, Page, Playwright, expect

from browser.conftest import ARGUMENTS, CHROMIUM, PATIENCE_MS
from gm_server.web.images import qr_code
from lab import Lab, MissingRights, wait_until
from lab.processes import Process
from lab.products import GM_ADDRESS, PLC_ADDRESS, System

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(600)]
NAME = "plc.press.line3.acme.gatelink"
PEAK = re.compile(r"L[\d.]+ [12]?\d\.\d")
"""A point in the upper half of the plot: bytes that came."""
FLOWS = re.compile(r"kbit/s.*received, .*kbit/s.*sent, .* ms", re.DOTALL)
_TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    lab = Lab(os.environ.get("GATELINK_LAB_PREFIX", "glt"))
    try:
        lab.up()
    except MissingRights as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the lab cannot be built, and in CI it must be: {error}", pytrace=False)
        pytest.skip(f"the lab cannot be built: {error}")
    try:
        with System(lab) as found:
            yield found
    finally:
        lab.down()


@contextmanager
def chromium_of(system: System, playwright: Playwright, directory: Path) -> Iterator[BrowserContext]:
    """The browser of the PC's user, in the PC's namespace."""
    profile, program = directory / "profile", directory / "chromium"
    profile.mkdir()
    if system.lm.user is not None:
        shutil.chown(profile, system.lm.user, "nogroup")
    words = system.lab.pc.argv(["env", f"HOME={profile}", CHROMIUM], user=system.lm.user)
    program.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
    program.chmod(0o755)
    context = playwright.chromium.launch_persistent_context(
        profile, executable_path=program, args=list(ARGUMENTS), viewport={"width": 1360, "height": 860}
    )
    try:
        yield context
    finally:
        context.close()


def _routes(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(system.lab.pc.run(["ip", "-json", "-4", "route"]).stdout)
    return found


def _link(system: System, directory: Path) -> str:
    """What ``lm ui`` gives to the desktop to open."""
    desktop, told = directory / "xdg-open", system.lm.home / "opened"
    desktop.write_text(f'#!/bin/sh\necho "$1" >{told}\n')
    desktop.chmod(0o755)
    path = f"{directory}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    lm = system.lm
    system.lab.pc.run(lm.argv("ui"), env={**lm.environment, "PATH": path}, user=lm.user, timeout_s=60)
    wait_until(lambda: told.exists() and told.read_text().endswith("\n"), 30, "the browser to be opened")
    return told.read_text().strip()


def _client(system: System, address: str, *options: str) -> Process:
    """An ordinary Modbus client on the PC; it looks names up as every program does."""
    argv = [sys.executable, "-m", "lab.modbus_client", "--address", address, "--timeout", "30", *options]
    words = [str(word) for word in system.lm.with_names(argv)]
    return system.lab.pc.start(words, name="client", env={"PYTHONPATH": str(_TESTS), "PYTHONUNBUFFERED": "1"})


def test_person_reads_the_plc_by_clicking(system: System, playwright: Playwright) -> None:
    directory = system.lm.directory / "desktop"
    directory.mkdir()
    before = _routes(system)
    with chromium_of(system, playwright, directory) as context:
        page = context.pages[0]
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.set_default_timeout(PATIENCE_MS)
        page.goto(_link(system, directory))
        expect(page.locator("#bar")).to_contain_text("ann at acme")
        expect(page.locator("#rows")).to_contain_text("1 of 1 online")
        _connect_and_read(system, page)
        page.locator("#machine").get_by_role("button", name="Disconnect").click()
        expect(page.locator(".session")).to_have_count(0)
        expect(page.locator("#ended")).to_contain_text("disconnected by the user")
        assert _routes(system) == before
        expect(page.locator("#machine")).not_to_contain_text("Connected now")
        _picture(page, "lm-page-disconnected")
        page.get_by_role("link", name="Log").click()
        expect(page.locator(".log")).to_contain_text("session press: up on gl0")
        page.get_by_role("link", name="This PC").click()
        expect(page.locator(".facts").first).to_contain_text(system.gm.ask("certificate", "show")["serial"])
        _picture(page, "lm-page-this-pc")
        _become_somebody_else(system, page)
        assert said == []


def _connect_and_read(system: System, page: Page) -> None:
    page.locator(".side").get_by_role("link", name="press").first.click()
    page.locator("#reason").fill("drive is in fault 7")
    page.locator("#connect").get_by_role("button", name="Connect").click()
    expect(page.locator(".session h2")).to_have_text("press")
    expect(page.locator(".session .state")).to_contain_text("connected")
    row = page.locator("#machine tbody tr")
    expect(row).to_contain_text(NAME)
    expect(row.locator(".copy").first).to_have_text(PLC_ADDRESS)
    assert {route["dst"] for route in _routes(system) if route["dev"] == "gl0" and "gateway" in route} == {PLC_ADDRESS}
    _client_reads(system, row.locator(".copy").nth(0).inner_text())
    by_name = _client(system, row.locator(".copy").nth(1).inner_text(), "--period", "0.02")
    by_name.wait_for_line("ms: ", 60)
    expect(page.locator(".plot .received")).to_have_attribute("d", PEAK)
    expect(page.locator(".session .figures")).to_contain_text(FLOWS)
    _picture(page, "lm-page-connected")
    by_name.signal(signal.SIGINT)
    assert by_name.wait(60) == 130, by_name.log


def _become_somebody_else(system: System, page: Page) -> None:
    """By a picture of an invitation's link, in a profile beside the usual one."""
    system.gm.run("users", "add", "eve", "--domain", "acme")
    link = f"https://{GM_ADDRESS}/invitation#{system.gm.invite('eve')}"
    shown = page.context.new_page()
    shown.set_content(f'<div style="width: 20rem">{qr_code(link, "an invitation")}</div>')
    picture: FilePayload = {"name": "code.png", "mimeType": "image/png", "buffer": shown.screenshot()}
    shown.close()
    page.get_by_role("link", name="Profiles").click()
    page.locator("#make-name").fill("second")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("h1")).to_have_text("Welcome")
    _picture(page, "lm-page-welcome")
    config = system.lm.home / "profiles" / "second" / "config.toml"
    config.write_text((system.lm.home / "config.toml").read_text())
    config.chmod(0o644)
    page.locator("#qr-file").set_input_files(files=[picture])
    expect(page.locator("#qr-told")).to_have_text(f"Invitation for eve at {GM_ADDRESS}. Now choose a password.")
    expect(page.locator("#invitation")).to_have_value(link)
    page.locator("#first").fill("a long password")
    page.locator("#second").fill("a long password")
    page.get_by_role("button", name="Redeem").click()
    expect(page.locator("#bar")).to_contain_text("eve at acme")
    expect(page.locator("#notices")).to_contain_text(system.gm.ask("certificate", "show")["serial"])
    page.get_by_role("link", name="Profiles").click()
    expect(page.locator("#profiles .state[data-state=good]")).to_have_count(2)
    _picture(page, "lm-page-profiles")


def _client_reads(system: System, address: str) -> None:
    client = _client(system, address, "--polls", "1")
    assert client.wait(60) == 0, client.log


def _picture(page: Page, name: str) -> None:
    """Keep what is seen where somebody wants to look at it."""
    if directory := os.environ.get("GATELINK_SCREENSHOTS"):
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)

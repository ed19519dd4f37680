"""The set-up wizard of a new unit, done in the technician's place by a real Chromium, until 'connected'."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect, sync_playwright

from browser.technician import PASSWORD, PHONE, URL, chromium_at
from qemu.conftest import lab_prefix
from qemu.gateway import UPLINK, UPLINK_GATEWAY
from qemu.scene import DEADLINE_S, Scene

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(7200)]

PATIENCE_MS = 600_000


@pytest.fixture
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


@pytest.fixture
def scene(card: Path) -> Iterator[Scene]:
    """A new unit: it has its addresses from the file (the lab has no DHCP server), and no claim."""
    with Scene(lab_prefix(), card) as scene:
        scene.system.start_gm()
        scene.gateway.provision(f'[network]\nuplink = "{UPLINK}"\ngateway = "{UPLINK_GATEWAY}"\n')
        scene.lab.plant.run(["ip", "address", "add", "10.0.0.50/24", "dev", "br0"])
        yield scene


def test_technician_connects_a_new_unit_in_the_wizard(scene: Scene, playwright: Playwright, tmp_path: Path) -> None:
    begin = time.monotonic()
    scene.gateway.power_on()
    scene.gateway.wait_for_shell(DEADLINE_S)
    shell = scene.gateway.shell.run
    shell("while ! netstat -lnt | grep -q ':443 '; do sleep 2; done", deadline_s=DEADLINE_S)
    sys.stdout.write(f"\npower-on to the set-up page: {time.monotonic() - begin:.0f} s\n")
    secret = shell('sed \'s/.*"secret":"\\([^"]*\\).*/\\1/\' /data/sm/page.json')
    with chromium_at(scene.lab.plant, playwright, tmp_path) as chromium:
        context = chromium.new_context(viewport=PHONE, ignore_https_errors=True, has_touch=True)
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page = context.new_page()
        page.goto(URL)
        page.get_by_label("Secret on the label").fill(secret)
        page.get_by_role("button", name="Log in").click()
        page.get_by_label("New password", exact=False).first.fill(PASSWORD)
        page.get_by_label("New password again").fill(PASSWORD)
        page.get_by_role("button", name="Choose this password").click()
        expect(page.get_by_role("heading", name="The way out of the site")).to_be_visible()
        page.get_by_role("button", name="Go on").click()
        page.get_by_label("or paste it here").fill(scene.system.gm.claim())
        page.get_by_role("button", name="Use this claim").click()
        page.get_by_role("link", name="Done").click()
        expect(page.get_by_text("press is connected")).to_be_visible()
        context.close()
    scene.wait_until_online(DEADLINE_S)
    sys.stdout.write(f"power-on to connected by the wizard: {time.monotonic() - begin:.0f} s\n")

"""An update by the set-up page in real Chromium: sent by its script, its progress shown, its refusal in plain words."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

TESTS = Path(__file__).parents[1]
STAY_MS = 60_000
pytestmark = [pytest.mark.slow]


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URL of a new unit's page, and the secret of its label."""
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    argv = [sys.executable, "-m", "browser.firmware_unit", str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as process:
        assert process.stdout is not None
        try:
            url, secret = process.stdout.readline().split()
            yield url, secret
        finally:
            (tmp_path / "end").touch()
            process.wait(60)


def test_update_goes_by_the_page_and_its_fate_is_shown(unit: tuple[str, str], browser: Browser, tmp_path: Path) -> None:
    url, secret = unit
    bundle = random.Random(7).randbytes(1_900_000)
    (tmp_path / "large.raucb").write_bytes(bundle * 2)
    (tmp_path / "bundle.raucb").write_bytes(bundle)
    page = browser.new_page(viewport={"width": 360, "height": 640})
    page.set_default_timeout(STAY_MS)
    page.goto(f"{url}/login")
    page.fill("#password", secret)
    page.get_by_role("button", name="Log in").click()
    for field in ("#new", "#again"):
        page.fill(field, "engine room 7")
    page.locator("main form button").click()
    page.wait_for_url(lambda address: "/password" not in address)
    page.goto(f"{url}/firmware")
    install = page.get_by_role("button", name="Install it")
    page.set_input_files("#bundle", tmp_path / "large.raucb")
    install.click()
    expect(page.get_by_role("alert")).to_contain_text("there is room for 2000000", timeout=STAY_MS)
    page.set_input_files("#bundle", tmp_path / "bundle.raucb")
    install.click()
    expect(page.get_by_role("status")).to_contain_text("checked and installed", timeout=STAY_MS)
    expect(page.get_by_role("status")).to_contain_text("40 %", timeout=STAY_MS)
    assert (tmp_path / "update" / "bundle").read_bytes() == bundle
    (tmp_path / "refuse").touch()
    expect(page.get_by_role("status")).to_contain_text("was refused", timeout=STAY_MS)
    expect(page.get_by_role("status")).to_contain_text("not signed", timeout=STAY_MS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if shots := os.environ.get("GATELINK_SCREENSHOTS"):
        page.screenshot(path=f"{shots}/firmware.png", full_page=True)
    page.close()

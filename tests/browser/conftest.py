"""The browser of this layer: Debian's Chromium without a screen. Nothing is loaded from another host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PATIENCE_MS = 60_000
"""For whatever is waited for: several programs share the machine with the browser."""


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """What drives browsers; there can be one in a process."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: tools/setup installs it")
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium, started once."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def _patience() -> None:
    """What is not there yet is waited for; what is there at once costs nothing."""
    expect.set_options(timeout=PATIENCE_MS)

"""A technician's laptop or phone on the machine-side port of a new unit: Chromium in that namespace."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize

from browser.conftest import ARGUMENTS, CHROMIUM, PATIENCE_MS
from lab import Lab, MissingRights, Place
from lab.processes import Process
from lab.products import DOMAIN, GateManager, SiteManager
from lab.rights import has_every_user

_BIN = Path(sys.executable).parent
PATIENCE_S = PATIENCE_MS / 1000
ADDRESS = "10.0.0.1"
URL = f"https://{ADDRESS}"
PHONE: ViewportSize = {"width": 360, "height": 640}
DESK: ViewportSize = {"width": 1280, "height": 800}
PASSWORD = "engine room 7"
PAGES = (
    "status", "uplinks", "network", "gatemanager", "devices", "serial", "access", "diagnosis", "log", "backup",
    "firmware", "restart",
)  # fmt: skip
TRIAL_S = 90
"""Of the daemon in these tests: time for whoever keeps a change, however busy the machine is."""
SHORT_TRIAL_S = 10
"""Where nobody keeps it: time to see that it is on trial."""


class Unit:
    """A new unit in the lab with its page, a GateManager that does not know it, and the technician's browser."""

    def __init__(self, lab: Lab, trial_s: float) -> None:
        self.lab = lab
        self.gm = GateManager(lab)
        self.sm = SiteManager(lab)
        # The page's user has to reach the socket, but not the state beside it.
        self.sm.runtime = lab.run_directory / "sm-run"
        self.user = "nobody" if has_every_user() else "root"
        self.page: Process | None = None
        self.laptop: Place = lab.plant
        self.laptop.run(["ip", "addr", "add", "10.0.0.50/24", "dev", "br0"])
        self.sm.run("init", "--dev-interface", "eth1")
        self.sm.run("config", "set", "dhcp.enabled", "false")
        self.secret = self.sm.run("secret").stdout.strip()
        self.start_daemon(trial_s)
        self.start_page()
        self.gm.init()
        self.gm.start()
        self.gm.run("domains", "add", "acme")
        self.gm.run("domains", "add", DOMAIN)

    def start_daemon(self, trial_s: float = TRIAL_S) -> None:
        """A run of the daemon."""
        argv = [str(_BIN / "sm"), "run", "--trial-s", str(trial_s), "--page-user", self.user]
        environment = {"PYTHONUNBUFFERED": "1", **self.sm.environment}
        self.sm.process = self.lab.site.start(argv, name="sm", env=environment)
        self.sm.process.wait_for_line("not enrolled yet|connected to", PATIENCE_S)

    def restart_daemon(self, trial_s: float) -> None:
        """Another run of it, with trials of another length."""
        assert self.sm.process is not None
        self.sm.process.terminate()
        self.sm.process.wait(PATIENCE_S)
        self.start_daemon(trial_s)

    def start_page(self) -> None:
        """A run of the page's process."""
        argv = [str(_BIN / "sm"), "page", "--user", self.user]
        environment = {"PYTHONUNBUFFERED": "1", **self.sm.environment}
        self.page = self.lab.site.start(argv, name="page", env=environment)
        self.page.wait_for_line("is on eth1", PATIENCE_S)

    def memory_kb(self, what: str) -> tuple[int, int]:
        """Of daemon and page: ``Rss`` or ``Pss`` (shared pages count for each who shares them in part)."""
        assert self.sm.process is not None
        assert self.page is not None
        rows = [
            Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            for process in (self.sm.process, self.page)
        ]
        found = [int(row.split()[1]) for lines in rows for row in lines if row.startswith(f"{what}:")]
        return found[0], found[1]


@contextmanager
def unit(trial_s: float = TRIAL_S) -> Iterator[Unit]:
    """A lab with it; skipped where there can be none."""
    lab = Lab(os.environ.get("GATELINK_LAB_PREFIX", "glt"))
    try:
        lab.up()
    except MissingRights as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the lab cannot be built, and in CI it must be: {error}", pytrace=False)
        pytest.skip(f"the lab cannot be built: {error}")
    try:
        yield Unit(lab, trial_s)
    finally:
        lab.down()


@contextmanager
def chromium_at(place: Place, playwright: Playwright, directory: Path) -> Iterator[Browser]:
    """Chromium in a place of the lab."""
    program = directory / "chromium"
    program.write_text(f'#!/bin/sh\nexec ip netns exec {place.namespace} {CHROMIUM} "$@"\n')
    program.chmod(0o755)
    browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
    try:
        yield browser
    finally:
        browser.close()


class Watcher:
    """What a page does that it should not: complaints in the console, and requests to anybody else."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._request)

    def _console(self, message: object) -> None:
        text = str(getattr(message, "text", message))
        if getattr(message, "type", "") == "error" and "the server responded with a status of" not in text:
            self.complaints.append(text)

    def _request(self, request: object) -> None:
        url = str(getattr(request, "url", ""))
        if ADDRESS not in url and not url.startswith(("data:", "http://10.8.0.1", "https://10.8.0.1")):
            self.complaints.append(f"a request to {url}")


def overflow(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def unnamed_fields(page: Page) -> list[str]:
    """Fields and buttons of which nobody who cannot see them learns what they are."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a')]
        .filter(e => !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.textContent.trim())
        .map(e => e.outerHTML.slice(0, 120))"""
    )
    return found


def small_targets(page: Page) -> list[str]:
    """Buttons that a thumb in a glove misses (below 40 pixels)."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('button, .button, nav a, select')]
        .filter(e => e.offsetParent && e.getBoundingClientRect().height < 40).map(e => e.outerHTML.slice(0, 120))"""
    )
    return found


def weak_contrasts(page: Page) -> list[str]:
    """Texts with less than 4.5 to 1 (WCAG 2.2, 1.4.3) to what is behind them."""
    found: list[str] = page.evaluate(
        """() => {
        const channel = v => v <= 10.31 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4;
        const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
        const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
        const behind = part => {
          for (; part; part = part.parentElement) {
            const colour = parse(getComputedStyle(part).backgroundColor);
            if (colour.length === 3 || colour[3] > 0.99) return colour;
          }
          return [255, 255, 255];
        };
        const weak = [];
        for (const part of document.querySelectorAll('body *')) {
          const text = [...part.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
          if (!text || !part.offsetParent || part.disabled) continue;
          const one = light(parse(getComputedStyle(part).color)), other = light(behind(part));
          const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
          if (ratio < 4.5) weak.push(ratio.toFixed(2) + ' ' + part.textContent.trim().slice(0, 60));
        }
        return weak;
        }"""
    )
    return found

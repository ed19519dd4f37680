"""A claimed SiteManager with a PLC beside it, whose daemon can be counted, its page, its GateManager and one user."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.soak.held import Held, held
from lab import Lab, Process, wait_until
from lab.products import APPLIANCE, GM_ADDRESS, PASSWORD, System

_BIN = Path(sys.executable).parent
_TESTS = Path(__file__).resolve().parents[2]
_SETTLE_S = 30.0


class Unit(System):
    """Everything up. ``backoff_s`` is the longest wait between two attempts to reach the GateManager."""

    def __init__(self, lab: Lab, backoff_s: float) -> None:
        super().__init__(lab)
        # The page's user has to reach the socket, but not the state beside it.
        self.sm.runtime = lab.run_directory / "sm-run"
        self.counts = lab.run_directory / "counts.json"
        self.page_user = "nobody" if self.lm.user else "root"
        self.sm.run("config", "set", "backoff_longest_s", str(backoff_s))
        self.__enter__()
        assert self.sm.process is not None
        self.sm.process.terminate(30)
        self.sm.run("secret")  # makes the page's certificate: a daemon that makes one has loaded all of it
        self.daemon = self._python("bench.soak.counted", str(self.counts), "run", "--page-user", self.page_user)
        self.daemon.wait_for_line("connected to", 60)
        self.page = self.lab.site.start(
            [str(_BIN / "sm"), "page", "--user", self.page_user], name="page", env=self._environment
        )
        self.page.wait_for_line("is on eth1", 60)
        (appliance,) = (row for row in self.gm.ask("appliances", "list") if row["path"] == APPLIANCE)
        self.appliance_id = str(appliance["id"])

    def start_lm(self) -> None:
        """An invited user with a certificate; ``caller`` logs in, and an agent would be in its way."""
        self.lm.redeem(self.gm.invite())

    def call(self, count: int, at_once: int) -> str:
        """Open and close so many sessions; what the caller said of it."""
        arguments = (GM_ADDRESS, self.appliance_id, str(self.lm.home), PASSWORD, str(count), str(at_once))
        caller = self.lab.pc.start_module("bench.soak.caller", *arguments, name="caller")
        said = caller.wait_for_line(r"done .*", 3600)[0]
        caller.wait(120)
        return said

    def at_rest(self) -> Held:
        """What is held when no session is left and the counts stand still, or what there is after a while."""
        wait_until(lambda: not self.sm.ask("status")["sessions"], 60, "the SiteManager to have no session")
        end = time.monotonic() + _SETTLE_S
        least = self.now()
        while time.monotonic() < end:
            time.sleep(1.0)
            seen = self.now()
            if (seen.descriptors, seen.tasks, seen.threads) == (least.descriptors, least.tasks, least.threads):
                return seen
            least = seen
        return least

    def failed_attempts(self) -> int:
        """How often the GateManager was not reached so far."""
        return sum("no connection:" in line for line in tuple(self.daemon.lines))

    def now(self) -> Held:
        """What is held in this moment."""
        return held(self.lab.site, self.daemon, self.page, self.counts)

    def _python(self, module: str, *arguments: str) -> Process:
        argv = [sys.executable, "-P", "-m", module, *arguments]
        return self.lab.site.start(argv, name="sm", env=self._environment)

    @property
    def _environment(self) -> dict[str, str]:
        return {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(_TESTS), **self.sm.environment}

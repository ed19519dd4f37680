"""The whole link under test: ends that notice a dead line soon, somebody who polls the PLC, and what is left behind."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from lab import Lab, Place, Process, TimedOut, wait_until
from lab.products import APPLIANCE, PLC_ADDRESS, LinkManager, System

KEEPALIVE_S = 2.0
"""Short, so that a line that was cut without a word is known as dead within 5 s."""
_SYSCTLS = r"^net\.(ipv[46]\.(conf|neigh|ip_forward)|netfilter)"
_LIVE_SYSCTLS = ("nf_conntrack_count",)


def quick_system(lab: Lab, *, keepalive_s: float = KEEPALIVE_S) -> System:
    """A system, not connected yet, in which nobody waits long before he tries again."""
    system = System(lab)
    system.gm.init()
    system.gm.configure("keepalive_s", keepalive_s)
    system.sm.run("config", "set", "backoff_longest_s", "2")
    configure_lm(system.lm, keepalive_s)
    return system.__enter__()


def configure_lm(lm: LinkManager, keepalive_s: float = KEEPALIVE_S) -> None:
    """An LM that tries again soon."""
    lm.configure("[link]", "backoff_longest_s = 2", "[session]", f"keepalive_s = {keepalive_s}")


class Poller:
    """Somebody on a PC who polls the PLC all the time, over one connection."""

    def __init__(
        self,
        place: Place,
        *,
        address: str = PLC_ADDRESS,
        port: int = 502,
        patience_s: float = 3.0,
        period_s: float = 0.05,
    ) -> None:
        options = ("--address", address, "--port", str(port), "--patience", str(patience_s), "--period", str(period_s))
        self.process = place.start_module("netns.link_poller", *options, name="poller")
        self.wait_for_answer()

    @property
    def answers(self) -> list[float]:
        """When an answer came, in monotonic seconds."""
        return [float(line.split()[1]) for line in tuple(self.process.lines) if line.startswith("answered")]

    def wait_for_answer(self, deadline_s: float = 15.0) -> None:
        """Wait for an answer to come after now."""
        self.process.wait_for_line("answered", deadline_s, after=len(self.process.lines))

    def wait_until_lost(self, deadline_s: float = 15.0) -> str:
        """Wait until its connection is lost; why."""
        return self.process.wait_for_line(r"lost \S+ (.*)", deadline_s)[1]

    def longest_gap_s(self, since: float) -> float:
        """The longest time without an answer since then (monotonic), up to the last answer."""
        times = [since, *(answer for answer in self.answers if answer > since)]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    def stop(self) -> None:
        """End it."""
        self.process.kill9()


def traces(place: Place) -> dict[str, Any]:
    """Everything that a session changes in a place, without what changes by itself: counters, handles, caches."""
    return {
        "links": _links(place),
        "routes": [
            {key: value for key, value in route.items() if key not in ("expires", "flags")}
            for family in ("-4", "-6")
            for route in _json(place, "ip", "-j", family, "route", "show", "table", "all")
        ],
        "rules": _json(place, "ip", "-j", "rule"),
        "neighbours": [
            entry
            for entry in _json(place, "ip", "-j", "neigh", "show", "nud", "all")
            if entry["dev"].startswith("gl") or "PERMANENT" in entry["state"]
        ],
        "nft": [_without_handles(item) for item in _json(place, "nft", "-j", "list", "ruleset")["nftables"]],
        "sysctls": [
            row
            for row in place.run(["sysctl", "-a", "-r", _SYSCTLS], check=False).stdout.splitlines()
            if not any(word in row for word in _LIVE_SYSCTLS)
        ],
    }


def wait_for_traces(place: Place, expected: dict[str, Any], deadline_s: float = 10.0) -> None:
    """Wait until a place looks as it did; the error says what is different."""
    try:
        wait_until(lambda: traces(place) == expected, deadline_s, f"{place.name} to be as it was")
    except TimedOut:
        assert traces(place) == expected, f"{place.name} is not as it was"


def wait_for_session_end(system: System, deadline_s: float = 15.0) -> None:
    """Wait until no party knows of a session."""
    wait_until(lambda: not system.gm.ask("sessions", "list"), deadline_s, "the GateManager to have no session")
    wait_until(lambda: not system.sm.ask("status")["sessions"], deadline_s, "the SiteManager to have no session")


def session_of(lm: LinkManager) -> dict[str, Any] | None:
    """The LM's only session, if it has one."""
    sessions = lm.ask("status")["sessions"]
    assert len(sessions) <= 1, sessions
    return sessions[0] if sessions else None


def wait_until_resumed(lm: LinkManager, deadline_s: float = 40.0) -> dict[str, Any]:
    """Wait until the LM's session is up again after a break."""

    def resumed() -> dict[str, Any]:
        found = session_of(lm)
        return found if found and found["state"] == "up" and found["reconnects"] else {}

    return wait_until(resumed, deadline_s, "the session to be resumed")


def reconnect(system: System) -> None:
    """Have a session again, whatever there was."""
    system.lm.run("disconnect", "--all")
    wait_for_session_end(system)
    system.lm.run("connect", APPLIANCE)


def end_within(poller: Poller, returned_at: float) -> float:
    """Wait until nobody answers any more; how long after ``returned_at`` the last answer came."""
    poller.wait_until_lost(20)
    return max(poller.answers) - returned_at


def now() -> float:
    """The pollers' clock."""
    return time.monotonic()


def ended(process: Process, deadline_s: float = 40.0) -> tuple[int, str]:
    """Wait for a command to end; status and what it said."""
    return process.wait(deadline_s), process.log


def _links(place: Place) -> dict[str, Any]:
    return {
        link["ifname"]: {
            "state": sorted(link["flags"]),
            "mtu": link["mtu"],
            "addresses": sorted(f"{found['local']}/{found['prefixlen']}" for found in link["addr_info"]),
        }
        for link in _json(place, "ip", "-j", "address")
    }


def _json(place: Place, *argv: str) -> Any:
    return json.loads(place.run(argv).stdout or "[]")


def _without_handles(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _without_handles(value) for key, value in item.items() if key not in ("handle", "metainfo")}
    if isinstance(item, list):
        return [_without_handles(value) for value in item]
    return item

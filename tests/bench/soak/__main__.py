"""Command line of the soak. The exit status is 1 if something has grown."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import msgspec

from bench.soak.held import Held
from bench.soak.unit import Unit
from bench.soak.verdict import table, text, verdicts
from lab import Lab, LabError

# By then the daemon's log of 1,000 lines is full, and the allocator has seen every size.
_WARM_SESSIONS = 1000
_BATCHES = 20
_WARM_ALONE_S = 180.0
_LOOK_S = 120.0


class Diary:
    """Every look, printed as it is taken."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.looks: list[tuple[str, Held]] = []
        _say(table([]))

    def look(self, when: str) -> None:
        """Take one more."""
        self.looks.append((when, self._unit.at_rest()))
        _say(table(self.looks[-1:]).splitlines()[-1])

    @property
    def ends(self) -> tuple[Held, Held]:
        """The first and the last."""
        return self.looks[0][1], self.looks[-1][1]


def main() -> int:
    """Run one of the two, print every look and the verdict."""
    parser = argparse.ArgumentParser(prog="soak", description="Does a SiteManager's daemon grow?")
    parser.add_argument("what", choices=("sessions", "alone"), help="sessions come and go; or no GateManager answers")
    parser.add_argument("--count", type=int, default=10_000, help="sessions (default 10000)")
    parser.add_argument("--at-once", type=int, default=4, help="of them at the same time (default 4)")
    parser.add_argument("--minutes", type=float, default=60.0, help="without a GateManager (default 60)")
    parser.add_argument("--backoff-s", type=float, default=60.0, help="the longest wait between attempts (default 60)")
    parser.add_argument("--json", type=Path, default=None, help="where every look goes as JSON")
    options = parser.parse_args()
    try:
        with Lab() as lab:
            unit = Unit(lab, options.backoff_s)
            diary = Diary(unit)
            if options.what == "sessions":
                sessions(unit, diary, options.count, options.at_once)
            else:
                alone(unit, diary, options.minutes)
    except LabError as error:
        sys.stderr.write(f"soak: {error}\n")
        return 1
    _say(text(*diary.ends))
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(diary.looks), indent=1))
    return int(any(grown for *_, grown in verdicts(*diary.ends)))


def sessions(unit: Unit, diary: Diary, count: int, at_once: int) -> None:
    """Open and close many; the first look is after some of them, when everything has been used once."""
    unit.call(_WARM_SESSIONS, at_once)
    diary.look(f"{_WARM_SESSIONS} to warm")
    each = -(-count // _BATCHES)
    for number in range(1, _BATCHES + 1):
        said = unit.call(each, at_once)
        diary.look(f"{number * each}")
        _say(f"  {said}")


def alone(unit: Unit, diary: Diary, minutes: float) -> None:
    """End the GateManager and look every two minutes; the first look is when attempts have failed for a while."""
    unit.gm.kill9()
    unit.daemon.wait_for_line("no connection:", 120)
    began = time.monotonic()
    time.sleep(min(_WARM_ALONE_S, minutes * 6))
    while True:
        passed_s = time.monotonic() - began
        diary.look(f"{passed_s / 60:.0f} min")
        if passed_s >= minutes * 60:
            break
        time.sleep(min(_LOOK_S, minutes * 6))
    _say(f"  {unit.failed_attempts()} attempts failed")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

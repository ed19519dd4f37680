"""What the daemon and its page hold at one moment, in themselves and in the kernel."""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lab import Place, Process, wait_until

_COUNT_DEADLINE_S = 60.0
_POOL = "asyncio_"
"""The event loop's own pool, which looks names up: it fills as it is needed, to four more than there are cores."""


@dataclass(frozen=True, slots=True)
class Held:
    """Memory in KiB, everything else in pieces; threads without the event loop's pool.

    ``descriptor_kinds`` and what follows say which, for people.
    """

    daemon_rss_kib: int
    daemon_private_kib: int
    page_rss_kib: int
    descriptors: int
    threads: int
    tasks: int
    objects: int
    page_descriptors: int
    interfaces: int
    nft_rows: int
    routes: int
    rules: int
    neighbours: int
    descriptor_kinds: dict[str, int]
    thread_names: list[str]
    packages: list[str]


def held(place: Place, daemon: Process, page: Process, counts: Path) -> Held:
    """Look at everything once."""
    counts.unlink(missing_ok=True)
    daemon.signal(signal.SIGUSR1)
    wait_until(counts.exists, _COUNT_DEADLINE_S, "the daemon to count")
    counted = json.loads(counts.read_text(encoding="utf-8"))
    kinds = _descriptors(daemon.pid)
    return Held(
        daemon_rss_kib=memory_kib(daemon.pid, "Rss"),
        daemon_private_kib=memory_kib(daemon.pid, "Private_Dirty"),
        page_rss_kib=memory_kib(page.pid, "Rss"),
        descriptors=kinds.total(),
        threads=sum(not name.startswith(_POOL) for name in counted["threads"]),
        tasks=counted["tasks"],
        objects=counted["objects"],
        page_descriptors=_descriptors(page.pid).total(),
        interfaces=_rows(place, "ip", "-o", "link"),
        nft_rows=_rows(place, "nft", "list", "ruleset"),
        routes=sum(_rows(place, "ip", family, "route", "show", "table", "all") for family in ("-4", "-6")),
        rules=sum(_rows(place, "ip", family, "rule") for family in ("-4", "-6")),
        neighbours=_rows(place, "ip", "neigh", "show", "nud", "permanent"),
        descriptor_kinds=dict(kinds),
        thread_names=counted["threads"],
        packages=counted["packages"],
    )


def memory_kib(pid: int, *kinds: str) -> int:
    """Sum of these kinds of memory of a process, as /proc/PID/smaps_rollup names them (Rss, Pss, Private_Dirty)."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(row.split()[1]) for row in rows if row.partition(":")[0] in kinds)


def _descriptors(pid: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[str(path.readlink()).split("[")[0]] += 1
        except FileNotFoundError:
            continue  # closed meanwhile
    return found


def _rows(place: Place, *argv: str) -> int:
    return len(place.run(argv).stdout.splitlines())

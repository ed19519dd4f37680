"""Grown or not: what was held at the end against what was held when everything had been used once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .held import Held

PIECES: Final = (
    "descriptors",
    "threads",
    "tasks",
    "page_descriptors",
    "interfaces",
    "nft_rows",
    "routes",
    "rules",
    "neighbours",
)
"""Of these there are exactly as many as before, once everything is at rest."""
MEMORY: Final = ("daemon_rss_kib", "daemon_private_kib", "page_rss_kib")
MEMORY_SLACK_KIB: Final = 2048
"""What the allocator may keep in another way; a leak of 200 bytes a session is as much over 10,000 sessions."""
OBJECTS_SLACK: Final = 1000
"""Python objects: logs and histories of bounded length fill up."""


def verdicts(before: Held, after: Held) -> list[tuple[str, int, int, bool]]:
    """For each figure its name, both values, and whether it has grown."""
    found = []
    for name in (*PIECES, "objects", *MEMORY):
        slack = MEMORY_SLACK_KIB if name in MEMORY else OBJECTS_SLACK if name == "objects" else 0
        first, last = int(getattr(before, name)), int(getattr(after, name))
        found.append((name, first, last, last > first + slack))
    return found


def table(looks: Sequence[tuple[str, Held]]) -> str:
    """Every look as a row, for people."""
    names = (*MEMORY, "objects", *PIECES)
    rows = [" ".join(["when".ljust(14), *names])]
    for when, seen in looks:
        values = (str(getattr(seen, name)).rjust(len(name)) for name in names)
        rows.append(" ".join([when.ljust(14), *values]))
    return "\n".join(rows)


def text(before: Held, after: Held) -> str:
    """What grew, and between which values; which descriptors and threads are new."""
    rows = []
    for name, first, last, grown in verdicts(before, after):
        rows.append(f"{'GROWN' if grown else 'not grown':<10} {name}: {first} -> {last}")
    if after.descriptors > before.descriptors:
        rows.append(f"descriptors before: {before.descriptor_kinds}, after: {after.descriptor_kinds}")
    if after.threads > before.threads:
        rows.append(f"threads before: {before.thread_names}, after: {after.thread_names}")
    return "\n".join(rows)

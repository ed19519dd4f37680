#!/usr/bin/env python3
"""Verifies that every option that was asked for really is set: Kconfig drops what it cannot have in silence.

Usage: check_config.py REQUESTED [REQUESTED ...] FINAL: defconfigs or fragments, then the resulting .config.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_UNSET = re.compile(r"# ((?:BR2|CONFIG)_\w+) is not set")
_SET = re.compile(r"((?:BR2|CONFIG)_\w+)=(.*)")


def options(path: Path) -> dict[str, str]:
    """Return the options of a file; `n` for those that are not set."""
    found = {}
    for line in path.read_text().splitlines():
        if match := _SET.fullmatch(line.strip()):
            found[match[1]] = match[2]
        elif match := _UNSET.fullmatch(line.strip()):
            found[match[1]] = "n"
    return found


def differences(requested: dict[str, str], final: dict[str, str]) -> list[str]:
    """Return a line for each option that came out other than it was asked for; built in is as good as a module."""
    rows = []
    for name, wanted in requested.items():
        found = final.get(name, "n")
        if found != wanted and not (wanted == "m" and found == "y"):
            rows.append(f"{name}: asked for {wanted}, is {found}")
    return rows


def main(arguments: list[str]) -> int:
    """0 if everything is as asked for; else 1, with a line for each that is not."""
    *requested, final = (Path(argument) for argument in arguments)
    rows = [f"{path.name}: {row}" for path in requested for row in differences(options(path), options(final))]
    sys.stdout.write("".join(f"{row}\n" for row in rows))
    return 1 if rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

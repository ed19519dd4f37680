#!/usr/bin/env python3
"""Writes the two copies of a new card's boot state: slot A alone has a system, the data partition was never ready."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Arguments: the two files."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "firmware"))
    bootstate = importlib.import_module("guard.bootstate")
    for path, copy in zip(sys.argv[1:], bootstate.of_new_card(), strict=True):
        Path(path).write_bytes(copy)


main()

"""Command line of the benchmarks. The exit status tells whether they ran, never whether the figures are good."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.figures import FIGURES
from bench.results import Result, table, write_json
from bench.scene import scene
from lab import LabError


def main() -> int:
    """Measure, print the table, write the JSON file."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure Gatelink against others, as ratios in one run.")
    parser.add_argument("--only", action="append", choices=list(FIGURES), help="this figure; may be given again")
    parser.add_argument("--rounds", type=int, default=3, help="pairs a figure (default 3)")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the JSON file goes")
    arguments = parser.parse_args()
    results: list[Result] = []
    failed = False
    try:
        with scene() as here:
            for name in arguments.only or FIGURES:
                sys.stderr.write(f"bench: {name}\n")
                try:
                    results += FIGURES[name](here, arguments.rounds)
                except LabError as error:
                    failed = True
                    sys.stderr.write(f"bench: {name} could not run: {error}\n")
    except LabError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    if results:
        sys.stdout.write(table(results) + "\n")
        write_json(results, arguments.json)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Runs `gm` commands in turn in one process, for set-ups: each process of its own takes most of a second to start.

Its input has a command a line, as JSON; it ends with the status of the first that fails.
"""

from __future__ import annotations

import json
import sys

from gm_server.cli.program import run


def main() -> int:
    """Run them all."""
    for line in sys.stdin:
        if status := run(json.loads(line)):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())

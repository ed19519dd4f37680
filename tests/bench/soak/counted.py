"""Program: ``sm`` as it is; on SIGUSR1 it also writes its tasks, objects and packages to a file.

Arguments: FILE, then those of sm.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from sitemanager.cli import main


def count(file: Path) -> None:
    """Write the counts; whole, or not at all."""
    gc.collect()
    counts = {
        "tasks": len(asyncio.all_tasks()),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "objects": len(gc.get_objects()),
        "packages": sorted({name.partition(".")[0] for name in sys.modules}),
    }
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(counts), encoding="utf-8")
    partial.rename(file)


def run(file: Path, arguments: list[str]) -> int:
    """Run ``sm``; counts only once its event loop runs."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        count(file)

    signal.signal(signal.SIGUSR1, on_signal)
    return main(arguments)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))

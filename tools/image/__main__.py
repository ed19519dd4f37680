"""``python -m image build|slot|lock`` with ``tools`` on the path; ``make emulated-image`` calls it."""

from __future__ import annotations

import argparse
import sys

from .build import Build
from .exceptions import ImageError


def main() -> int:
    """Run one command: 0, or 1 with one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="image", description="builds the emulated gateway")
    parser.add_argument("command", choices=["build", "slot", "lock"])
    parser.add_argument("--firmware-version", default="0.1.0", help="what the image says of itself")
    parser.add_argument("--locked", action="store_true", help="fail where the archive has newer packages than the lock")
    options = parser.parse_args()
    build = Build(locked=options.locked)
    try:
        match options.command:
            case "build":
                build.build(options.firmware_version)
                sys.stdout.write(f"image: {build.card}\n")
            case "slot":
                build.build_slot(options.firmware_version)
            case _:
                build.lock()
    except ImageError as error:
        sys.stderr.write(f"image: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

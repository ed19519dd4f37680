"""``python -m image build|slot|bundle|tools|lock`` with ``tools`` on the path; ``make emulated-image`` calls it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import bundle
from .build import Build
from .exceptions import ImageError
from .places import BUILD


def main() -> int:
    """Run one command: 0, or 1 with one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="image", description="builds the emulated gateway")
    parser.add_argument("command", choices=["build", "slot", "bundle", "tools", "lock"])
    parser.add_argument("--firmware-version", default="0.1.0", help="what the image says of itself")
    parser.add_argument("--locked", action="store_true", help="fail where the archive has newer packages than the lock")
    parser.add_argument("--output", type=Path, default=BUILD / "update.raucb", help="the bundle")
    parser.add_argument("--certificate", default="", help="who signs: a file or a pkcs11: address; else development")
    parser.add_argument("--key", default="", help="its key: a file or a pkcs11: address")
    options = parser.parse_args()
    build = Build(locked=options.locked)
    try:
        match options.command:
            case "build":
                build.build(options.firmware_version)
                sys.stdout.write(f"image: {build.card}\n")
            case "slot":
                build.build_slot(options.firmware_version)
            case "bundle":
                keys = bundle.development_keys()
                certificate, key = options.certificate or keys / "signer.pem", options.key or keys / "signer.key"
                build.bundle(options.firmware_version, options.output, str(certificate), str(key))
                sys.stdout.write(f"image: {options.output}\n")
            case "tools":
                build.fetch_tools()
                sys.stdout.write(f"image: {build.tools}\n")
            case _:
                build.lock()
    except ImageError as error:
        sys.stderr.write(f"image: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

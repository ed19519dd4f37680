"""Program: figures of the image. `make bench-image` runs it: sizes, boot, memory, and what each import costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from qemu.gateway import BUILD
from qemu.scene import Scene

_IMPORTS = ("msgspec", "cryptography.x509", "ssl", "asyncio", "sitemanager.services.daemon", "sitemanager.web.server")
_DEADLINE_S = 900.0


def main() -> int:
    """Print one figure a line."""
    say("card, MiB used of the file", f"{(BUILD / 'gatelink.img').stat().st_blocks * 512 / 2**20:.0f}")
    with tempfile.TemporaryDirectory() as directory:
        squash = Path(directory) / "root.squashfs"
        argv: list[str | Path] = [
            "mksquashfs",
            BUILD / "root",
            squash,
            "-comp",
            "zstd",
            "-quiet",
            "-no-progress",
            "-e",
            "boot",
        ]
        subprocess.run(argv, check=True, capture_output=True)
        say("root without kernel, compressed, MiB", f"{squash.stat().st_size / 2**20:.1f}")
    with Scene((os.environ.get("GATELINK_LAB_PREFIX") or "gl") + "b") as scene:
        scene.provision()
        begin = time.monotonic()
        scene.gateway.power_on()
        scene.gateway.emulator.wait_for_console(r"Starting kernel", _DEADLINE_S)
        say("power-on to kernel, s", f"{time.monotonic() - begin:.1f}")
        steps = scene.gateway.emulator.wait_for_console(r"boot steps done after ([\d.]+)", _DEADLINE_S)
        say("kernel to the end of the boot steps (first boot), s", steps)
        scene.wait_until_online(_DEADLINE_S)
        say("power-on to connected (first boot, with enrolment), s", f"{time.monotonic() - begin:.1f}")
        scene.gateway.wait_for_shell(_DEADLINE_S)
        run = scene.gateway.shell.run
        rows = dict(row.split(":") for row in run("grep -E '^Mem(Total|Available):' /proc/meminfo").splitlines())
        used_kib = int(rows["MemTotal"].split()[0]) - int(rows["MemAvailable"].split()[0])
        say("memory in use when connected, MiB", f"{used_kib / 1024:.0f}")
        for name in _IMPORTS:
            program = (
                "import sys,time,resource; sys.path.append('/usr/lib/python3/dist-packages'); b=time.process_time();"
                f"import {name}; print(round(time.process_time()-b,2),"
                "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024)"
            )
            seconds, peak_mib = run(f'python3 -c "{program}"', deadline_s=120).split()
            say(f"import {name}", f"{seconds} s of the guest's processor, {peak_mib} MiB at most")
    return 0


def say(name: str, value: str) -> None:
    """One line."""
    sys.stdout.write(f"{name:<58} {value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

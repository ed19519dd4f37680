"""A bad new system gives way to the old one by itself, and the GateManager shows why.

The bad system and the boot state that RAUC's adapter leaves after an installation are written from outside, which costs
the emulator nothing. Installing itself is `test_qemu_updates`.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qemu import updates
from qemu.scene import DEADLINE_S, Scene
from qemu.system import (
    boot_state,
    runs,
    wait_for_event,
    wait_until_connected,
)  # fmt: skip

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(7200)]

_CLOSED = """
table inet nowhere {
    chain output {
        type filter hook output priority filter; policy accept;
        tcp dport { 80, 443, 11444 } drop
    }
}
"""
_PANIC = "#!/bin/sh\nmount -t proc proc /proc\necho c >/proc/sysrq-trigger\n"


def without_init(root: Path) -> None:
    (root / "usr/sbin/init").unlink()


def with_panic(root: Path) -> None:
    (root / "usr/sbin/init").unlink()
    (root / "usr/sbin/init").write_text(_PANIC)
    (root / "usr/sbin/init").chmod(0o755)


def with_crashing_daemon(root: Path) -> None:
    (root / "usr/bin/sm").write_text("#!/bin/sh\nexit 1\n")


def without_a_way_out(root: Path) -> None:
    with (root / "etc/nftables.conf").open("a") as rules:
        rules.write(_CLOSED)
    board = root / "etc/gatelink/board"
    board.write_text(f"{board.read_text()}TRIAL_S=60\n")


BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "0.3.1": (without_init, "has no init", "B did not start"),
    "0.3.2": (with_panic, "Kernel panic", "B did not start"),
    "0.3.3": (with_crashing_daemon, "starting anew: crashes", "B 0.3.3 crashes"),
    "0.3.4": (without_a_way_out, "starting anew: not-reached", "B 0.3.4 not-reached"),
}
"""By version: what is wrong, what the console says of it, what the GateManager hears."""
TOLD = ("0.3.2", "0.3.3", "0.3.4")
"""Where the GateManager is waited for. What does not start at all is told in the same words, whatever it lacks."""


@pytest.mark.parametrize("version", BAD)
def test_bad_system_falls_back_and_the_gatemanager_shows_why(kept_scene: Scene, tmp_path: Path, version: str) -> None:
    change, on_console, why = BAD[version]
    gateway = kept_scene.gateway
    slot = updates.changed_slot(tmp_path, version, change)
    kept_scene.lay_out()
    gateway.write_slot("B", slot)
    updates.put_on_trial(gateway, "B")
    shutil.rmtree(tmp_path)
    begin = time.monotonic()
    gateway.power_on()
    gateway.emulator.wait_for_console(on_console, DEADLINE_S)
    sys.stdout.write(f"\n{version}: {on_console!r} after {time.monotonic() - begin:.0f} s\n")
    if "starting anew" in on_console:
        gateway.emulator.wait_for_console("sysrq: Resetting", DEADLINE_S)
        # QEMU is minutes slow where a kernel is loaded over one whose code it has translated.
        gateway.pull_plug()
        gateway.power_on()
    runs(kept_scene, "A", "0.1.0")
    assert f"fell_back={why}" in gateway.shell.run("cat /run/gatelink/firmware")
    assert "gl_b='0'" in boot_state(kept_scene)
    sys.stdout.write(f"{version}: A runs after {time.monotonic() - begin:.0f} s\n")
    if version in TOLD:
        # Who it is and whom it trusts was kept, or it would not come so far.
        wait_until_connected(kept_scene)
        sys.stdout.write(f"{version}: connected after {time.monotonic() - begin:.0f} s\n")
        wait_for_event(kept_scene, f"because of {why}")

"""The plug is pulled at random moments: the gateway comes up by itself, as it was before or after, never in between.

`GATELINK_PLUGS` says how often (5: once each of `KINDS`), `GATELINK_SEED` from which seed; both are printed. The
emulator is killed: what the guest had in its own memory is lost, what it gave to its disk is there.
"""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qemu import updates
from qemu.gateway import CARD
from qemu.scene import DEADLINE_S, Scene
from qemu.system import KEPT, SLOTS, boot_state, booted

PULLS = int(os.environ.get("GATELINK_PLUGS", "5"))
pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(3600 + 1800 * PULLS)]

_QUIET = "</dev/null >/dev/null 2>&1 &"
_WRITER = """
import sys
sys.path.append("/usr/lib/python3/dist-packages")
from pathlib import Path
import msgspec
from sitemanager.host.config_store import load, save
directory = Path("/data/sm")
config = load(directory)
open("/tmp/writing", "w").close()
while True:
    for probe_s in (1000.0, 2000.0):
        save(directory, msgspec.structs.replace(config, probe_s=probe_s))
"""


class Pull:
    """One of them: what the gateway is doing, for how long at most until the plug goes, and what has to hold then."""

    def __init__(self, scene: Scene, directory: Path, moments: random.Random) -> None:
        self.scene = scene
        self.run = scene.gateway.shell.run
        self.directory = directory
        self.moments = moments

    def installation(self) -> str:
        """A bundle is checked, written into slot B; then the unit restarts into it."""
        loaded = self.directory / "loaded"
        if not loaded.exists():
            self.scene.go_on()
            mount = "mkdir -p /tmp/stick; mount -t vfat -o ro /dev/vdb /tmp/stick"
            self.run(f"{mount} && cp /tmp/stick/good.raucb /data/update/bundle.raucb && sync", deadline_s=DEADLINE_S)
            self.scene.gateway.shell.close()
            self.scene.gateway.emulator.keep(loaded)
        self.scene.gateway.emulator.restore(loaded)
        self.scene.gateway.shell.wait_until_there(DEADLINE_S)
        kept = self.run(f"md5sum {KEPT}")
        self.run(f"(/usr/lib/gatelink/install; reboot) {_QUIET}")
        self.off_after(150.0)
        assert booted(self.scene) in (["A", "0.1.0"], ["B", "0.2.0"])
        assert self.run(f"md5sum {KEPT}") == kept
        return self.run("cat /run/gatelink/data")

    def configuration(self) -> str:
        """The configuration is written again and again, as `sm config set` does."""
        self.again()
        kept = self.run(f"md5sum {KEPT.replace('/data/sm/config.toml', '')}")
        self.run(f"cat >/tmp/writer.py <<'END'\n{_WRITER}\nEND")
        self.run(f"setpriv --reuid gatelink-sm --regid gatelink-sm --clear-groups python3 -S /tmp/writer.py {_QUIET}")
        self.run("while [ ! -e /tmp/writing ]; do sleep 1; done", deadline_s=DEADLINE_S)
        self.off_after(5.0)
        assert self.run(f"md5sum {KEPT.replace('/data/sm/config.toml', '')}") == kept
        found = self.run("cat /data/sm/config.toml")
        assert re.search(r"^probe_s = (600|1000|2000)\.0$", found, re.MULTILINE), found
        assert 'dev_address = "192.168.50.1/24"' in found
        assert "192.0.2" in found or "gm_addresses = [" in found
        return self.run("cat /run/gatelink/data")

    def boot_state(self) -> str:
        """The boot state changes all the time: which slot is first, and back. Slot B is empty."""
        self.again()
        self.run(f"(while :; do {SLOTS} set-primary B; {SLOTS} set-primary A; done) {_QUIET}")
        self.off_after(8.0)
        assert booted(self.scene) == ["A", "0.1.0"]
        assert "gl_data='ready'" in boot_state(self.scene)
        return self.run("cat /run/gatelink/data")

    def first_boot(self) -> str:
        """A new card: the data partition is made, gatelink.toml is taken, keys are made, the claim is used."""
        gateway = self.scene.gateway
        gateway.insert(CARD)
        gateway.provision('claim = "glc1_none"\n[network]\nmachine = "192.168.50.1/24"\n')
        gateway.power_on()
        gateway.emulator.wait_for_console(r"Starting kernel", DEADLINE_S)
        self.off_after(120.0)
        mistakes, file = gateway.boot_file("gatelink.mistakes.txt"), gateway.boot_file("gatelink.toml")
        assert file is None or mistakes is not None, "the file was neither taken nor refused"
        assert 'dev_interfaces = ["dev0"]' in self.run("cat /data/sm/config.toml")
        return self.run("cat /run/gatelink/data")

    def writing_much(self) -> str:
        """The data partition is written to as fast as it can: logs, queues, an upload."""
        self.again()
        kept = self.run(f"md5sum {KEPT}")
        script = (
            "n=0; while :; do n=$((n+1)); dd if=/dev/urandom of=/data/update/f$((n % 50)) bs=64k count=9; sync; done"
        )
        self.run(f"({script}) {_QUIET}")
        self.off_after(20.0)
        assert self.run(f"md5sum {KEPT}") == kept
        return self.run("cat /run/gatelink/data")

    def again(self) -> None:
        """The connected gateway as it was kept, the GateManager as it is: nobody asks it."""
        self.scene.rewind()

    def off_after(self, longest_s: float) -> None:
        """The plug goes, and in again; the boot goes through."""
        after_s = self.moments.uniform(0.0, longest_s)
        time.sleep(after_s)
        gateway = self.scene.gateway
        last = gateway.emulator.process.lines[-1] if gateway.emulator.process and gateway.emulator.process.lines else ""
        gateway.pull_plug()
        sys.stdout.write(f"{after_s:.1f} s ({last[-60:].strip()!r}) ")
        gateway.power_on()
        gateway.wait_for_shell(DEADLINE_S)


KINDS: tuple[Callable[[Pull], str], ...] = (
    Pull.boot_state, Pull.configuration, Pull.first_boot, Pull.installation, Pull.writing_much,
)  # fmt: skip


def test_gateway_comes_up_when_the_plug_is_pulled(connected: Scene, tmp_path: Path) -> None:
    slot = updates.changed_slot(tmp_path, "0.2.0", lambda _: None)
    connected.gateway.put_on_stick({"good.raucb": updates.signed(slot, tmp_path / "good.raucb")})
    slot.unlink()
    seed = int(os.environ.get("GATELINK_SEED", "0")) or random.randrange(1, 1 << 30)
    sys.stdout.write(f"\nseed {seed}, {PULLS} pulls\n")
    pull = Pull(connected, tmp_path, random.Random(seed))
    for number in range(PULLS):
        kind = KINDS[number % len(KINDS)]
        begin = time.monotonic()
        sys.stdout.write(f"pull {number + 1}, {kind.__name__}: after ")
        data = kind(pull)
        sys.stdout.write(f"-> {booted(connected)}, data {data}, {time.monotonic() - begin:.0f} s\n")
        sys.stdout.flush()
        assert data in ("ready", "repaired", "formatted")

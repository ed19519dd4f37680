"""The plug is pulled at random moments of an update: it always comes up, as it was before or after, and is reached.

`GATELINK_PLUGS` says how often (2), `GATELINK_SEED` from which seed; both are printed. The emulator is killed: what the
guest had in its own memory is lost, what it gave to its disk is there.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu import updates
from qemu.conftest import lab_prefix
from qemu.scene import Scene
from qemu.system import DEADLINE_S, booted, configuration, wait_until_good

PULLS = int(os.environ.get("GATELINK_PLUGS", "2"))
pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(1200 + 1200 * PULLS)]
LONGEST_S = 150.0
"""From the beginning of an installation; on a quiet machine the new system runs by then."""


@pytest.fixture(scope="module")
def scene(card: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("plugs")
    slot = updates.changed_slot(directory, "0.2.0", lambda _: None)
    bundle = updates.signed(slot, directory / "good.raucb")
    slot.unlink()
    with Scene(lab_prefix(), card, updates.stick(directory / "stick.img", {"good.raucb": bundle})) as scene:
        scene.provision()
        scene.gateway.power_on()
        scene.gateway.wait_for_shell(DEADLINE_S)
        wait_until_good(scene, "A")
        yield scene


def test_gateway_comes_up_when_the_plug_is_pulled_in_an_update(scene: Scene) -> None:
    seed = int(os.environ.get("GATELINK_SEED", "0")) or random.randrange(1, 1 << 30)
    moments = random.Random(seed)
    sys.stdout.write(f"\nseed {seed}, {PULLS} pulls\n")
    kept = configuration(scene)
    for number in range(1, PULLS + 1):
        before = booted(scene)
        script = "mkdir -p /tmp/stick; mount -t vfat -o ro /dev/vdb /tmp/stick"
        script += "; cp /tmp/stick/good.raucb /data/update/bundle.raucb"
        scene.gateway.shell.run(
            f"{script}; (/usr/lib/gatelink/install; reboot) </dev/null >/dev/null 2>&1 &", deadline_s=120
        )
        after_s = moments.uniform(0.0, LONGEST_S)
        time.sleep(after_s)
        last = scene.gateway.emulator.process.lines[-1] if scene.gateway.emulator.process else ""
        scene.gateway.pull_plug()
        scene.gateway.power_on()
        begin = time.monotonic()
        scene.gateway.wait_for_shell(DEADLINE_S)
        wait_until_good(scene, booted(scene)[0])
        now = booted(scene)
        data = scene.gateway.shell.run("cat /run/gatelink/data")
        sys.stdout.write(
            f"pull {number}: after {after_s:.1f} s ({last[-60:]!r}); was {before}, is {now}, data {data}, "
            f"good after {time.monotonic() - begin:.0f} s\n"
        )
        assert now in (before, ["B" if before[0] == "A" else "A", "0.2.0"])
        assert data in ("ready", "repaired")
        assert configuration(scene) == kept
        scene.wait_until_online(DEADLINE_S)

"""Updates on the emulated gateway: refused ones, by page, by GateManager, and the way back from what does not work."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from lab.processes import Process
from lab.products import APPLIANCE
from qemu import updates
from qemu.page_visitor import PASSWORD
from qemu.scene import DEADLINE_S, Scene
from qemu.system import boot_state, booted, came_up, configuration, wait_until_good

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(3600)]

REFUSED = {
    "unsigned": "Signature size is 0",
    "foreign": "signature verification failed",
    "cut": "",
    "flipped": "",
    "board": "[Cc]ompatible",
    "older": "version 0.0.9 is older than 0.1.0, which runs",
}
"""What RAUC, or our own check, says of each."""
OTHER = {"A": "B", "B": "A"}


@pytest.fixture(scope="module")
def bundles(card: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles by name. What is refused before anything is written holds no system."""
    del card  # It is built first.
    directory = tmp_path_factory.mktemp("bundles")
    tiny = updates.tiny_slot(directory)
    small = updates.signed(tiny, directory / "small.raucb")
    (directory / "unsigned.raucb").write_bytes(small.read_bytes()[:-8] + b"\0" * 8)
    (directory / "cut.raucb").write_bytes(small.read_bytes()[:-5000])
    updates.flipped(small, directory / "flipped.raucb", -100)
    updates.signed(tiny, directory / "foreign.raucb", keys=directory / "strangers")
    updates.signed(tiny, directory / "board.raucb", compatible="gatelink-raspberrypi4-64")
    updates.signed(tiny, directory / "older.raucb", version="0.0.9")
    for name, version, change in (
        ("good", "0.2.0", lambda root: None),
        ("offered", "0.2.5", lambda root: None),
    ):
        slot = updates.changed_slot(directory, version, change)
        updates.signed(slot, directory / f"{name}.raucb", version=version)
        slot.unlink()
    return directory


@pytest.fixture(scope="module")
def scene(connected: Scene, bundles: Path) -> Scene:
    """A gateway that is connected and good, with a stick full of bundles in it."""
    connected.gateway.put_on_stick({f"{name}.raucb": bundles / f"{name}.raucb" for name in REFUSED})
    return connected


def install(scene: Scene, name: str) -> str:
    """What the gateway's own command says after an installation."""
    mount = "mkdir -p /tmp/stick; grep -q /tmp/stick /proc/mounts || mount -t vfat -o ro /dev/vdb /tmp/stick"
    copy = f"cp /tmp/stick/{name}.raucb /data/update/bundle.raucb"
    scene.gateway.shell.run(f"{mount}; {copy}; /usr/lib/gatelink/install", deadline_s=DEADLINE_S, check=False)
    return scene.gateway.shell.run("cat /run/gatelink/update").removeprefix("- ")


def hand_over(scene: Scene, password: str, path: Path) -> Process:
    """What the page said of an update, from the upload until it is over or the unit is gone."""
    visitor = scene.lab.plant.start_module("qemu.page_visitor", "https://192.168.50.1", password, str(path))
    assert visitor.wait(DEADLINE_S * 3) == 0, visitor.log
    sys.stdout.write(f"{visitor.log}\n")
    return visitor


@pytest.mark.parametrize("name", REFUSED)
def test_bundle_is_refused_with_a_reason_when_it_is_bad(scene: Scene, name: str) -> None:
    before = boot_state(scene)
    said = install(scene, name)
    sys.stdout.write(f"{name}: {said}\n")
    assert said.startswith("refused: ")
    assert len(said) > len("refused: ") + 10
    assert "gave no reason" not in said
    assert re.search(REFUSED[name], said)
    assert boot_state(scene) == before


def test_page_refuses_a_bad_bundle_then_a_good_one_runs_and_keeps_the_configuration(
    scene: Scene, bundles: Path
) -> None:
    kept, before = configuration(scene), booted(scene)
    secret = scene.gateway.shell.run('sed \'s/.*"secret":"\\([^"]*\\).*/\\1/\' /data/sm/page.json')
    refused = hand_over(scene, secret, bundles / "foreign.raucb")
    assert "refused: " in refused.log
    assert "not signed by whom" in refused.log
    assert booted(scene) == before
    hand_over(scene, PASSWORD, bundles / "good.raucb")
    came_up(scene, OTHER[before[0]], "0.2.0")
    assert configuration(scene) == kept
    wait_until_good(scene, OTHER[before[0]])
    wait_for_record(scene, '"state":"good"')


def test_roll_out_of_the_gatemanager_reaches_the_gateway(scene: Scene, bundles: Path) -> None:
    kept, before = configuration(scene), booted(scene)
    gm = scene.system.gm
    said = gm.run("firmware", "upload", str(bundles / "offered.raucb")).stdout
    found = re.search(r" as (\S+), ", said)
    assert found is not None, said
    rollout = re.search(r"began ([^\s:]+)", gm.run("firmware", "roll-out", found[1], "--appliance", APPLIANCE).stdout)
    assert rollout is not None
    came_up(scene, OTHER[before[0]], "0.2.5")
    assert configuration(scene) == kept
    wait_until_good(scene, OTHER[before[0]])
    end = time.monotonic() + DEADLINE_S
    while "good" not in (status := gm.run("firmware", "status", rollout[1]).stdout):
        assert time.monotonic() < end, status
        time.sleep(1)


def wait_for_record(scene: Scene, text: str) -> None:
    """Until the daemon's own record of the update says this."""
    end = time.monotonic() + DEADLINE_S
    while text not in (record := scene.gateway.shell.run("cat /data/sm/update.json")):
        assert time.monotonic() < end, record
        time.sleep(1)

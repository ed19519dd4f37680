"""Updates on the emulated gateway: what is refused, A -> B, and the way back from a system that does not work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu import updates
from qemu.conftest import lab_prefix
from qemu.scene import Scene

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(1800)]

DEADLINE_S = 400.0
REFUSED = ("unsigned", "foreign", "cut", "flipped", "board", "older")


@pytest.fixture(scope="module")
def scene(card: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A gateway that is connected and good, with a stick full of bundles in it."""
    directory = tmp_path_factory.mktemp("bundles")
    tiny = updates.tiny_slot(directory)
    good = updates.signed(updates.changed_slot(directory, "0.2.0", lambda _: None), directory / "good.raucb")
    small = updates.signed(tiny, directory / "small.raucb")
    broken = updates.changed_slot(directory, "0.3.0", lambda root: (root / "usr/sbin/init").unlink())
    (directory / "unsigned.raucb").write_bytes(small.read_bytes()[:-8] + b"\0" * 8)
    (directory / "cut.raucb").write_bytes(small.read_bytes()[:-5000])
    crashing = updates.changed_slot(
        directory, "0.4.0", lambda root: (root / "usr/bin/sm").write_text("#!/bin/sh\nexit 1\n")
    )
    files = {
        "good.raucb": good,
        "unsigned.raucb": directory / "unsigned.raucb",
        "foreign.raucb": updates.signed(tiny, directory / "foreign.raucb", keys=directory / "strangers"),
        "cut.raucb": directory / "cut.raucb",
        "flipped.raucb": updates.flipped(small, directory / "flipped.raucb", -100),
        "board.raucb": updates.signed(tiny, directory / "board.raucb", compatible="gatelink-raspberrypi4-64"),
        "older.raucb": updates.signed(tiny, directory / "older.raucb", version="0.0.9"),
        "broken.raucb": updates.signed(broken, directory / "broken.raucb", version="0.3.0"),
        "crashing.raucb": updates.signed(crashing, directory / "crashing.raucb", version="0.4.0"),
    }
    more = updates.stick(directory / "stick.img", files)
    with Scene(lab_prefix(), card, more) as scene:
        scene.provision()
        scene.gateway.power_on()
        scene.gateway.wait_for_shell(DEADLINE_S)
        scene.gateway.shell.run("mkdir /tmp/stick; mount -t vfat -o ro /dev/vdb /tmp/stick", deadline_s=60)
        yield scene


def install(scene: Scene, name: str) -> str:
    """What the gateway says after an installation."""
    scene.gateway.shell.run(
        f"cp /tmp/stick/{name}.raucb /data/update/bundle.raucb; /usr/lib/gatelink/install", deadline_s=300, check=False
    )
    return scene.gateway.shell.run("cat /run/gatelink/update").removeprefix("- ")


def state(scene: Scene, name: str) -> str:
    return scene.gateway.shell.run(f"MICROPYPATH=/usr/lib/gatelink micropython -m guard.slots get {name}")


def wait_until_good(scene: Scene, slot: str) -> None:
    """Until the guard marked a slot: three attempts left, no trial."""
    end = time.monotonic() + DEADLINE_S
    while (found := (state(scene, slot.lower()), state(scene, "update"))) != ("3", "none"):
        assert time.monotonic() < end, found
        time.sleep(2)


def restart(scene: Scene) -> None:
    """Restart, and wait until the gateway is connected and has a shell again."""
    scene.gateway.shell.run("reboot")
    came_up(scene)


def came_up(scene: Scene) -> None:
    end = time.monotonic() + DEADLINE_S
    while scene.system.gm.is_online():
        assert time.monotonic() < end
        time.sleep(0.5)
    scene.wait_until_online(DEADLINE_S)
    scene.gateway.shell.wait_until_there(60)


@pytest.mark.parametrize("name", REFUSED)
def test_bundle_is_refused_with_a_reason_when_it_is_bad(scene: Scene, name: str) -> None:
    wait_until_good(scene, "A")
    before = scene.gateway.shell.run("MICROPYPATH=/usr/lib/gatelink micropython -m guard.slots show")
    said = install(scene, name)
    sys.stdout.write(f"{name}: {said}\n")
    assert said.startswith("refused: ")
    assert len(said) > len("refused: ") + 10
    assert "gave no reason" not in said
    assert scene.gateway.shell.run("MICROPYPATH=/usr/lib/gatelink micropython -m guard.slots show") == before


def test_update_boots_the_other_slot_and_keeps_the_configuration(scene: Scene) -> None:
    scene.wait_until_online(DEADLINE_S)
    wait_until_good(scene, "A")
    identity = scene.gateway.shell.run("md5sum /data/sm/identity.pem /data/sm/pin.json /data/sm/config.toml")
    assert install(scene, "good") == "installed"
    restart(scene)
    assert scene.gateway.shell.run("cat /run/gatelink/slot /etc/gatelink/version").split() == ["B", "0.2.0"]
    kept = scene.gateway.shell.run("md5sum /data/sm/identity.pem /data/sm/pin.json /data/sm/config.toml")
    assert kept == identity
    wait_until_good(scene, "B")


def test_system_without_init_falls_back_by_itself(scene: Scene) -> None:
    scene.gateway.shell.run("mkdir -p /tmp/stick; mount -t vfat -o ro /dev/vdb /tmp/stick", deadline_s=60, check=False)
    assert install(scene, "broken") == "installed"
    restart(scene)
    assert scene.gateway.shell.run("cat /run/gatelink/slot /etc/gatelink/version").split() == ["B", "0.2.0"]
    assert "fell_back=" in scene.gateway.shell.run("cat /run/gatelink/firmware")
    wait_until_good(scene, "B")


def test_system_whose_daemon_crashes_falls_back_and_the_gatemanager_hears_why(scene: Scene) -> None:
    scene.gateway.shell.run("mkdir -p /tmp/stick; mount -t vfat -o ro /dev/vdb /tmp/stick", deadline_s=60, check=False)
    assert install(scene, "crashing") == "installed"
    restart(scene)
    assert scene.gateway.shell.run("cat /run/gatelink/slot").strip() == "B"
    assert "0.4.0 crashes" in scene.gateway.shell.run("cat /run/gatelink/firmware")
    end = time.monotonic() + 60
    while "fell back" not in (told := scene.system.gm.run("audit", "list", check=False).stdout):
        assert time.monotonic() < end, told
        time.sleep(1)

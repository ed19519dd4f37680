"""A card with gatelink.toml on it, power on: the gateway is connected, and shows what it is said to."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu import kept
from qemu.conftest import lab_prefix
from qemu.gateway import SLOT_OFFSETS
from qemu.ports import EVERY, open_ports
from qemu.scene import Scene
from qemu.system import wait_until_good

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def scene(card: Path) -> Iterator[Scene]:
    with Scene(lab_prefix(), card) as scene:
        begin = time.monotonic()
        scene.set_up()
        sys.stdout.write(f"power-on to connected, with a shell: {time.monotonic() - begin:.1f} s\n")
        wait_until_good(scene, "A")
        sys.stdout.write(f"power-on to good: {time.monotonic() - begin:.1f} s\n")
        scene.keep(kept.stamp())
        yield scene


def test_claim_is_gone_from_the_card_when_the_gateway_is_connected(scene: Scene) -> None:
    assert scene.gateway.boot_file("gatelink.toml") is None
    applied = scene.gateway.boot_file("gatelink.applied.toml")
    assert applied is not None
    assert "claim = (used)" in applied
    scene.gateway.shell.run("sync")
    with scene.gateway.card.open("rb") as card:
        assert b"glc1_" not in card.read(SLOT_OFFSETS["A"])
    assert scene.gateway.shell.run("ls /data/sm/claim 2>&1 || true").startswith("ls: ")


def test_nothing_listens_on_the_uplink(scene: Scene) -> None:
    assert open_ports(scene.lab.factory, "10.20.1.2", EVERY) == []
    listening = scene.gateway.shell.run("netstat -lntu 2>/dev/null | grep -v '^Active' | tail -n +2")
    for row in listening.splitlines():
        assert not re.search(r"\s(0\.0\.0\.0|10\.20\.1\.2|:::):?(22|23|53|502)\s", row), listening


def test_machine_side_offers_the_setup_page_alone(scene: Scene) -> None:
    deadline = time.monotonic() + 120
    while (found := open_ports(scene.lab.plant, "192.168.50.1", [80, 443])) != [80, 443]:
        assert time.monotonic() < deadline, found
    assert open_ports(scene.lab.plant, "192.168.50.1", EVERY) == [80, 443]


def test_root_is_read_only_and_secrets_are_on_the_data_partition_alone(scene: Scene) -> None:
    run = scene.gateway.shell.run
    assert "read-only" in run("touch /etc/x 2>&1; true").lower()
    assert run("cat /run/gatelink/data") == "formatted"
    assert int(run("df -m /data | tail -1 | awk '{print $2}'")) > 400
    modes = run("stat -c '%a %U %n' /data/sm /data/sm/identity.pem /data/sm/pin.json /data/sm/page.json")
    assert [row.split()[:2] for row in modes.splitlines()] == [["700", "gatelink-sm"], *([["600", "gatelink-sm"]] * 3)]
    assert run("grep -v ':[*!]:' /etc/shadow || true") == ""
    capabilities = run("grep -h Cap[EB] /proc/$(pidof -s python3)/status || true")
    assert "ffffffff" not in capabilities


def test_memory_in_use_is_small_when_connected(scene: Scene) -> None:
    total, available = (
        int(scene.gateway.shell.run(f"awk '/{name}:/ {{print $2}}' /proc/meminfo"))
        for name in ("MemTotal", "MemAvailable")
    )
    sys.stdout.write(f"memory in use: {(total - available) // 1024} MiB of {total // 1024} MiB\n")
    assert total - available < 192 * 1024

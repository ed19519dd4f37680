"""The image (built if something in the tree changed), and what a failed test leaves: the serial console's log."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from qemu import emulator, kept
from qemu.gateway import CARD
from qemu.scene import Scene
from qemu.system import wait_until_good

ROOT = Path(__file__).resolve().parents[2]

# Minutes on an emulated processor: `make test-qemu` runs them, an ordinary `make test` does not.
collect_ignore_glob = [] if os.environ.get("GATELINK_QEMU") == "1" else ["test_*.py"]


def lab_prefix() -> str:
    """Of this layer's labs: it may run beside the layer `netns`."""
    return os.environ.get("GATELINK_LAB_PREFIX", "glt") + "q"


@pytest.fixture(scope="session")
def card() -> Path:
    """The card's image: GATELINK_IMAGE if it is set, else the one of this tree."""
    if not emulator.is_installed():
        reason = f"{emulator.PROGRAM} is missing; run tools/setup image"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    if "GATELINK_IMAGE" not in os.environ:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
        done = subprocess.run(
            [sys.executable, "-m", "image", "build"], env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return CARD


@pytest.fixture(scope="module")
def kept_scene(card: Path) -> Iterator[Scene]:
    """The lab in which a gateway that is connected and good was kept. The first test of all pays for its boot."""
    wanted = kept.stamp()
    with Scene(lab_prefix(), card) as scene:
        if not kept.is_there(wanted):
            scene.set_up()
            wait_until_good(scene, "A")
            scene.keep(wanted)
        yield scene


@pytest.fixture(scope="module")
def connected(kept_scene: Scene) -> Scene:
    """A gateway that is connected and good."""
    kept_scene.go_on()
    return kept_scene


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of the serial console, and keeps all of it."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for found in item.funcargs.values():
            if isinstance(found, Scene):
                report.sections.append((f"serial console ({found.keep_log(item.name)})", found.console_tail()))
    return report

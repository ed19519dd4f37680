"""The guard's pure half: the same script on CPython and on MicroPython, equal outputs, and these are right."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("guard_story.py")
EXPECTED = """\
ordinary 80:good
not-enrolled 80:good
trial-good 80:good
trial-no-page 901:reboot:not-good
trial-not-reached 901:reboot:not-reached
trial-never-reached-before 80:good
trial-crashes 50:reboot:crashes
crashes 50:rescue 460:good 940:end-rescue
silent 241:rescue
slow-start 360:good
late 241:rescue 300:end-rescue 360:good
patient 360:good
hung 60:good 156:reboot:hung
short-trial 121:reboot:not-reached
"""


def output(argv: list[str], variable: str) -> str:
    environment = {**os.environ, variable: str(ROOT / "firmware")}
    done = subprocess.run([*argv, str(SCRIPT)], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def micropython() -> list[str]:
    """Debian's MicroPython of the image's own suite, unpacked by the image's tools."""
    if platform.machine() != "x86_64":
        pytest.skip("the image's tools are for x86_64")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    argv = [sys.executable, "-m", "image", "tools"]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=170)
    assert done.returncode == 0, done.stderr
    tools = ROOT / "build" / "image" / "tools"
    libraries = tools / "usr" / "lib" / "x86_64-linux-gnu"
    return [
        str(libraries / "ld-linux-x86-64.so.2"),
        "--library-path",
        str(libraries),
        str(tools / "usr/bin/micropython"),
    ]


def test_decisions_are_right() -> None:
    assert output([sys.executable], "PYTHONPATH").startswith(EXPECTED)


@pytest.mark.slow
def test_decisions_are_the_same_on_micropython(micropython: list[str]) -> None:
    assert output(micropython, "MICROPYPATH") == output([sys.executable], "PYTHONPATH")


@pytest.mark.slow
def test_every_module_of_the_guard_loads_on_micropython(micropython: list[str]) -> None:
    names = sorted(path.stem for path in (ROOT / "firmware" / "guard").glob("*.py") if path.stem != "__init__")
    argv = [*micropython, "-c", f"from guard import {', '.join(names)}"]
    environment = {**os.environ, "MICROPYPATH": str(ROOT / "firmware")}
    assert subprocess.run(argv, env=environment, capture_output=True, timeout=60).returncode == 0

"""What a newcomer runs: `make demo` and `make lab`, as he would run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import namespaces

pytestmark = [pytest.mark.netns, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PREFIX = os.environ.get("GATELINK_LAB_PREFIX", "glt") + "d"
ENVIRONMENT = {**os.environ, "GATELINK_LAB_PREFIX": PREFIX, "PYTHONPATH": str(ROOT / "tests")}


def test_demo_polls_the_plc_measures_and_cleans_up() -> None:
    argv = [sys.executable, "-m", "lab.demo"]
    done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    story = done.stdout
    assert re.search(r"serial ([0-9A-F]{4}-){4}[0-9A-F]{4}", story)
    assert "connected to the GateManager by TCP port 11444" in story
    counters = [int(found) for found in re.findall(r"^ +[\d.]+ ms: (\d+) \d+ \d+ [01]$", story, re.MULTILINE)]
    assert len(counters) == 10
    assert counters == sorted(set(counters))
    assert "ping: no answer" in story
    assert "which must not be" not in story
    assert len(re.findall(r"TCP .*: [\d.]+ Gbit/s", story)) == 2
    # Before and after a connection the PC has the same two routes; meanwhile one to the PLC.
    routes = [found.count("\n") for found in re.findall(r"routes of the PC:\n((?: {11}.*\n)+)", story)]
    assert routes == [2, 4, 2]
    assert "left: nothing" in story
    assert namespaces.existing(PREFIX) == []


def test_lab_stays_up_is_reached_from_another_terminal_and_leaves_nothing() -> None:
    def lab(*words: str) -> str:
        done = subprocess.run([ROOT / "lab", *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    up = subprocess.Popen([ROOT / "lab", "up"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        assert up.stdout is not None
        said = []
        for line in up.stdout:
            said.append(line)
            if "Ctrl-C takes it down" in line:
                break
        commands = re.findall(r"\./lab (exec \w+ -- .*?)  ", "".join(said))
        assert len(commands) >= 5
        assert "through gl0" in lab("exec", "pc", "--", "lm", "status")
        assert "connected to acme" in lab("exec", "site", "--", "sm", "status")
        assert "joined" in lab("exec", "internet", "--", "gm", "sessions", "list")
        assert "ms:" in lab("exec", "pc", "--", "python", "-m", "lab.modbus_client", "--polls", "2", "--period", "0.1")
    finally:
        up.send_signal(signal.SIGINT)
        rest = up.communicate(timeout=30)[0]
    assert up.returncode == 0
    assert "nothing is left" in rest
    assert namespaces.existing(PREFIX) == []

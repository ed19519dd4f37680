"""What hangs or breaks: daemon, kernel, data partition, CPython. The gateway comes up again and says what was wrong."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

from qemu import updates
from qemu.gateway import DATA_OFFSET, MACHINE, TABLE_OFFSET
from qemu.scene import DEADLINE_S, Scene
from qemu.system import SLOTS, booted, came_up, configuration, runs, wait_for_event

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(7200)]

_DAEMON = "$(pidof python3 | tr ' ' '\\n' | while read -r p; do grep -q -a 'sm.run' /proc/$p/cmdline && echo $p; done)"
_VISIT = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], method=sys.argv[2], headers={"Origin": sys.argv[1].rsplit("/", 1)[0]})
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""


def said(scene: Scene) -> list[str]:
    """The serial console, line by line, since power-on."""
    process = scene.gateway.emulator.process
    return process.lines if process is not None else []


def visited(scene: Scene, method: str, path: str) -> str:
    """What a person beside the machine sees of the rescue page."""
    url = f"http://{MACHINE.partition('/')[0]}{path}"
    return scene.lab.plant.run([sys.executable, "-c", _VISIT, url, method], timeout_s=120).stdout


def test_hung_daemon_is_restarted_with_the_unit_when_the_data_partition_is_full(connected: Scene) -> None:
    run = connected.gateway.shell.run
    kept, before = configuration(connected), booted(connected)
    run("cat /dev/zero >/data/fill 2>/dev/null; sync", check=False, deadline_s=DEADLINE_S)
    mark = len(said(connected))
    run(f"kill -STOP {_DAEMON}")
    begin = time.monotonic()
    connected.gateway.emulator.wait_for_console("starting anew: hung", DEADLINE_S, after=mark)
    sys.stdout.write(f"\nhung daemon: the unit restarts after {time.monotonic() - begin:.0f} s\n")
    connected.gateway.emulator.wait_for_console("Starting kernel", DEADLINE_S, after=mark)
    came_up(connected, *before)
    assert run("cat /run/gatelink/data").startswith("full: ")
    assert configuration(connected) == kept
    wait_for_event(connected, "data partition: full")
    run("rm /data/fill; sync")


def test_hung_kernel_is_reset_by_the_watchdog_and_a_damaged_data_partition_repaired(connected: Scene) -> None:
    kept, before = configuration(connected), booted(connected)
    mark = len(said(connected))
    run = connected.gateway.shell.run
    # Nothing but this runs any more, not even the kernel's own threads, nor what its fair server would leave to others:
    # the guard cannot feed the watchdog.
    run("sync; mount -t debugfs debugfs /sys/kernel/debug; sysctl -q -w kernel.sched_rt_runtime_us=-1")
    run("echo 0 >/sys/kernel/debug/sched/fair_server/cpu0/runtime")
    run("(sleep 3; exec chrt -f 99 sh -c 'while :; do :; done') &")
    begin = time.monotonic()
    connected.gateway.emulator.wait_for_console("U-Boot", DEADLINE_S, after=mark)
    sys.stdout.write(f"\nhung kernel: reset after {time.monotonic() - begin:.0f} s\n")
    assert "starting anew" not in "\n".join(said(connected)[mark:])
    # Before the new kernel looks: the superblock and what follows it is gone.
    connected.gateway.overwrite(DATA_OFFSET, b"\xa5" * 16384)
    runs(connected, *before)
    assert run("cat /run/gatelink/data") == "repaired"
    assert configuration(connected) == kept


def test_gateway_comes_up_without_its_data_partition_and_with_it_again(connected: Scene) -> None:
    kept, before = configuration(connected), booted(connected)
    run = connected.gateway.shell.run
    run("sync")
    connected.gateway.pull_plug()
    with connected.gateway.card.open("rb") as card:
        card.seek(TABLE_OFFSET + 48)
        entry = card.read(16)
    connected.gateway.overwrite(TABLE_OFFSET + 48, bytes(16))
    connected.gateway.power_on()
    connected.gateway.wait_for_shell(DEADLINE_S)
    assert booted(connected) == before
    assert run("cat /run/gatelink/data") == "missing"
    assert "data partition: missing" in "\n".join(said(connected))
    assert " /data tmpfs " in run("cat /proc/mounts")
    connected.gateway.pull_plug()
    connected.gateway.overwrite(TABLE_OFFSET + 48, entry)
    connected.gateway.power_on()
    connected.gateway.wait_for_shell(DEADLINE_S)
    assert run("cat /run/gatelink/data") in ("ready", "repaired")
    assert configuration(connected) == kept


def test_rescue_page_starts_the_previous_system_when_python_is_broken(connected: Scene, tmp_path: Path) -> None:
    kept, before = configuration(connected), booted(connected)

    def break_python(root: Path) -> None:
        (root / "usr/bin/python3.13").unlink()
        (root / "usr/bin/python3.13").write_text("#!/bin/sh\nexit 127\n")

    slot = updates.changed_slot(tmp_path, "0.3.9", break_python)
    # It was good once: nothing takes it back but a person.
    connected.gateway.shell.run(f"{SLOTS} set order 'B A'; {SLOTS} set b 3; sync")
    connected.gateway.pull_plug()
    connected.gateway.write_slot("B", slot)
    shutil.rmtree(tmp_path)
    begin = time.monotonic()
    connected.gateway.power_on()
    connected.gateway.emulator.wait_for_console("cannot run: rescue page", DEADLINE_S)
    connected.gateway.wait_for_shell(DEADLINE_S)
    assert booted(connected) == ["B", "0.3.9"]
    connected.gateway.shell.run("while ! netstat -lnt | grep -q ':80 '; do sleep 1; done", deadline_s=DEADLINE_S)
    connected.gateway.shell.run("while ! ip address show dev dev0 | grep -q 'inet '; do sleep 1; done")
    page = visited(connected, "GET", "/")
    sys.stdout.write(f"\nrescue page after {time.monotonic() - begin:.0f} s\n")
    assert "version 0.3.9" in page
    assert "Start the previous system" in page
    mark = len(said(connected))
    assert "It is being done" in visited(connected, "POST", "/other-slot")
    connected.gateway.emulator.wait_for_console("Starting kernel", DEADLINE_S, after=mark)
    runs(connected, *before)
    assert configuration(connected) == kept

"""Which system runs in the gateway, whether it is good, and how one waits for the next."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import Final

from lab.exceptions import TimedOut
from qemu.scene import DEADLINE_S, Scene

KEPT: Final = "/data/sm/identity.pem /data/sm/pin.json /data/sm/config.toml"
SLOTS: Final = "MICROPYPATH=/usr/lib/gatelink micropython -m guard.slots"


def booted(scene: Scene) -> list[str]:
    """Slot and version of the system that runs."""
    return scene.gateway.shell.run("cat /run/gatelink/slot /etc/gatelink/version").split()


def boot_state(scene: Scene) -> str:
    """The whole boot state, as the guard's command shows it."""
    return scene.gateway.shell.run(f"{SLOTS} show")


def configuration(scene: Scene) -> str:
    """Digests of who the gateway is and how it is set up."""
    return scene.gateway.shell.run(f"md5sum {KEPT}")


def wait_until_good(scene: Scene, slot: str) -> None:
    """Until the guard marked a slot: three attempts left, first in the order, no trial."""
    end = time.monotonic() + DEADLINE_S
    wanted = ("3", f"{slot} {'B' if slot == 'A' else 'A'}", "none")
    while (found := tuple(_value(scene, name) for name in (slot.lower(), "order", "update"))) != wanted:
        if time.monotonic() > end:
            raise TimedOut(f"slot {slot} is not good: attempts, order and trial are {found}")
        time.sleep(5)


def came_up(scene: Scene, slot: str, version: str) -> None:
    """Wait until this system runs, has a shell and is connected; on the way others may have run."""
    runs(scene, slot, version)
    wait_until_connected(scene)


def runs(scene: Scene, slot: str, version: str) -> None:
    """Wait until this system runs and has a shell: its boot steps are done."""
    end = time.monotonic() + DEADLINE_S
    found: list[str] = []
    while found != [slot, version]:
        if time.monotonic() > end:
            raise TimedOut(f"{slot} {version} did not come up; {found} runs")
        try:
            scene.gateway.shell.wait_until_there(5.0)
            # A system that is being left, or that has not come far yet, does not count.
            found = scene.gateway.shell.run(
                "cat /run/gatelink/slot /etc/gatelink/version; test ! -e /run/gatelink/update || echo old",
                deadline_s=30.0,
                check=False,
            ).split()
        except TimedOut:
            continue


def wait_until_connected(scene: Scene) -> None:
    """Until the daemon of the system that runs says that it reached the GateManager."""
    end = time.monotonic() + DEADLINE_S
    while "connected=1" not in (beat := scene.gateway.shell.run("cat /run/gatelink-sm/heartbeat", check=False)):
        if time.monotonic() > end:
            raise TimedOut(f"the daemon did not reach the GateManager; its last sign of life: {beat!r}")
        time.sleep(2)


def wait_for_event(scene: Scene, text: str) -> None:
    """Until the GateManager has this of the gateway: what the appliance's page shows, read where it is kept."""
    address = f"file:{scene.system.gm.data / 'gm.sqlite3'}?mode=ro"
    end = time.monotonic() + DEADLINE_S
    while True:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            told = [row[0] for row in database.execute("SELECT text FROM appliance_events WHERE kind = 'firmware'")]
        if any(text in row for row in told):
            return
        if time.monotonic() > end:
            raise TimedOut(f"the GateManager was not told {text!r}, but {told}")
        time.sleep(1)


def _value(scene: Scene, name: str) -> str:
    return scene.gateway.shell.run(f"{SLOTS} get {name}")

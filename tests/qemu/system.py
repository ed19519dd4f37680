"""Which system runs in the gateway, whether it is good, and how one waits for the next."""

from __future__ import annotations

import time
from typing import Final

from lab.exceptions import TimedOut
from qemu.scene import Scene

DEADLINE_S: Final = 900.0
"""Five times what it takes on a machine that is busy with other things."""
KEPT: Final = "/data/sm/identity.pem /data/sm/pin.json /data/sm/config.toml"
_SLOTS: Final = "MICROPYPATH=/usr/lib/gatelink micropython -m guard.slots"


def booted(scene: Scene) -> list[str]:
    """Slot and version of the system that runs."""
    return scene.gateway.shell.run("cat /run/gatelink/slot /etc/gatelink/version").split()


def boot_state(scene: Scene) -> str:
    """The whole boot state, as the guard's command shows it."""
    return scene.gateway.shell.run(f"{_SLOTS} show")


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
        time.sleep(2)


def came_up(scene: Scene, slot: str, version: str) -> None:
    """Wait until this system runs, has a shell and is connected; on the way others may have run."""
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
    scene.wait_until_online(DEADLINE_S)


def _value(scene: Scene, name: str) -> str:
    return scene.gateway.shell.run(f"{_SLOTS} get {name}")

"""Which devices are checked, and when what was found is worth telling. No I/O: times come in, Unix seconds.

A device is red when two checks in a row failed, or the first one did; green with the first that succeeds. So a lost
packet alarms nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gatelink.messages import DeviceState
from gatelink.messages.appliance import DeviceWatch

FAILURES: Final = 2


class Finding(msgspec.Struct, frozen=True):
    """What one check saw; ``text`` is for people."""

    reachable: bool
    text: str


class CheckBook:
    """The devices and what is known of each."""

    def __init__(self) -> None:
        self._watched: dict[str, DeviceWatch] = {}
        self._states: dict[str, DeviceState] = {}
        self._failures: dict[str, int] = {}

    @property
    def watched(self) -> Sequence[DeviceWatch]:
        """What is checked."""
        return tuple(self._watched.values())

    @property
    def states(self) -> Sequence[DeviceState]:
        """What is known of the devices that were checked."""
        return tuple(self._states.values())

    def watch(self, devices: Sequence[DeviceWatch]) -> None:
        """Check these from now on; what is known of one that is checked otherwise now is forgotten."""
        before = self._watched
        self._watched = {device.device_id: device for device in devices}
        for device_id in before.keys() | self._states.keys():
            if self._watched.get(device_id) != before.get(device_id):
                self._states.pop(device_id, None)
                self._failures.pop(device_id, None)

    def note(self, watch: DeviceWatch, finding: Finding, now: float) -> DeviceState | None:
        """Note what a check found; return the device's state if that is news."""
        if self._watched.get(watch.device_id) != watch:
            return None
        before = self._states.get(watch.device_id)
        failures = 0 if finding.reachable else self._failures.get(watch.device_id, 0) + 1
        self._failures[watch.device_id] = failures
        reachable = finding.reachable or (before is not None and bool(before.reachable) and failures < FAILURES)
        text = finding.text if reachable == finding.reachable or before is None else before.text
        state = DeviceState(watch.device_id, reachable, now, text[:128])
        self._states[watch.device_id] = state
        return state if before is None or before.reachable != reachable else None

"""Foreign certificates that were met on the way to the GateManager, on disk until it was told of them.

Who stands in between at the very login ends the agent: without the file nobody would ever hear of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final

import msgspec

from gatelink.exceptions import InputError
from gatelink.messages import PinAlarm
from lm_client.home import Home

MAX_ALARMS: Final = 16


class AlarmBook:
    """``alarms.json``."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._kept: tuple[PinAlarm, ...] = ()
        with contextlib.suppress(InputError):  # a damaged file must not keep anybody out
            self._kept = home.load(home.alarms_path, tuple[PinAlarm, ...]) or ()

    def with_those_of(self, alarms: Iterable[PinAlarm]) -> tuple[PinAlarm, ...]:
        """Return the kept ones and these, each certificate once a way."""
        found = {(each.route.address, each.route.port, each.key_sha256): each for each in (*self._kept, *alarms)}
        return tuple(found.values())[:MAX_ALARMS]

    def keep(self, alarms: Iterable[PinAlarm]) -> None:
        """Keep these as well. Never raises: a full disk must not end a session."""
        merged = self.with_those_of(alarms)
        if merged != self._kept:
            self._kept = merged
            with contextlib.suppress(InputError):
                self._home.write(self._home.alarms_path, msgspec.json.format(msgspec.json.encode(merged)))

    def told(self) -> None:
        """The GateManager knows them now."""
        if self._kept:
            self._kept = ()
            self._home.alarms_path.unlink(missing_ok=True)

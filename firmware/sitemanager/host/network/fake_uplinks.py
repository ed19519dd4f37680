"""Uplinks in memory, for tests of the service: a test says what each interface has, and sees what was applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sitemanager.core.admission import HostNetwork
from sitemanager.core.uplinks import Seen, Wanted


class FakeUplinks:
    """See ``UplinkHost``."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}
        """By interface; without an entry it has what it was given."""
        self.active: list[str] = []
        """Every uplink that was put in use, the last one at the end."""
        self.wanted: Sequence[Wanted] = ()
        self.cleaned_up = 0

    def look(self, wanted: Sequence[Wanted], plant: Sequence[HostNetwork]) -> dict[str, Seen]:
        """Return what the test set."""
        del plant
        self.wanted = tuple(wanted)
        return {entry.uplink.name: self.seen.get(entry.uplink.interface) or _as_given(entry) for entry in wanted}

    def apply(self, wanted: Sequence[Wanted], seen: Mapping[str, Seen], active: str) -> None:
        """Remember it."""
        del wanted, seen
        if self.active[-1:] != [active]:
            self.active.append(active)

    def clean_up(self, kept: Sequence[Wanted] = ()) -> None:
        """Count it."""
        del kept
        self.cleaned_up += 1


def _as_given(entry: Wanted) -> Seen:
    if entry.given is None:
        return Seen(text=entry.text or "it has no address")
    address, _, length = entry.given.address.partition("/")
    return Seen(address, entry.given.gateway, int(length), entry.given.dns)

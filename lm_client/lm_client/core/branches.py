"""The tree of appliances as rows: what is open, what a search finds. No I/O.

Made once for each state of the tree; a search looks at one string an appliance. Five thousand appliances take some
milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from .local import ApplianceView
from .names import path_of

OPEN_BELOW: Final = 60
"""A tree of no more appliances than this begins unfolded; a larger one shows its first level."""
MAX_ROWS: Final = 400
"""More rows than anybody reads; what is behind them is said, and found by a search."""


class Branch(NamedTuple):
    """A domain: ``total`` and ``online`` count the appliances in it and below."""

    path: str
    name: str
    level: int
    is_open: bool
    total: int
    online: int


class Leaf(NamedTuple):
    """An appliance."""

    appliance: ApplianceView
    level: int


class Rows(NamedTuple):
    """``left_out`` is how many appliances are not among the rows although they would be."""

    rows: tuple[Branch | Leaf, ...]
    found: int
    left_out: int


class Branches:
    """The tree, ready to be looked at."""

    def __init__(self, appliances: Sequence[ApplianceView]) -> None:
        self.appliances = sorted(appliances, key=lambda each: (each.domain.casefold(), each.name.casefold()))
        self.by_id = {each.appliance_id: each for each in self.appliances}
        self._haystacks = [_haystack(each) for each in self.appliances]
        self._counts: dict[str, list[int]] = {}
        for appliance in self.appliances:
            for path in _above(appliance.domain):
                count = self._counts.setdefault(path, [0, 0])
                count[0] += 1
                count[1] += appliance.online

    def rows(self, toggled: Collection[str]) -> Rows:
        """Return the tree with the domains in ``toggled`` the other way round than they begin."""
        found: list[Branch | Leaf] = []
        seen: set[str] = set()
        left_out = 0
        for appliance in self.appliances:
            visible = True
            level = 0
            for level, path in enumerate(_above(appliance.domain)):
                is_open = (len(self.appliances) <= OPEN_BELOW or level == 0) != (path in toggled)
                if visible and path not in seen:
                    seen.add(path)
                    found.append(Branch(path, path.rpartition("/")[2], level, is_open, *self._counts[path]))
                visible = visible and is_open
            if visible:
                if len(found) < MAX_ROWS:
                    found.append(Leaf(appliance, level + 1 if appliance.domain else 0))
                else:
                    left_out += 1
        return Rows(tuple(found[: 2 * MAX_ROWS]), len(self.appliances), left_out)

    def search(self, text: str) -> Rows:
        """Return the appliances in whose path, devices or addresses every word of the text occurs."""
        matches = self.matches(text)
        shown = matches[: MAX_ROWS // 2]
        rows: list[Branch | Leaf] = []
        before = None
        for appliance in shown:
            if appliance.domain and appliance.domain != before:
                before = appliance.domain
                rows.append(Branch(before, before, 0, True, *self._counts[before]))
            rows.append(Leaf(appliance, 1 if appliance.domain else 0))
        return Rows(tuple(rows), len(matches), len(matches) - len(shown))

    def matches(self, text: str) -> list[ApplianceView]:
        """Return the same without rows and bounds."""
        words = text.casefold().split()
        return [
            appliance
            for appliance, haystack in zip(self.appliances, self._haystacks, strict=True)
            if all(word in haystack for word in words)
        ]


def _above(domain: str) -> list[str]:
    parts = domain.split("/") if domain else []
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _haystack(appliance: ApplianceView) -> str:
    words = [path_of(appliance)]
    for device in (*appliance.devices, *appliance.requestable):
        words += (device.name, device.address, device.use, device.hostname)
    return "\n".join(words).casefold()

"""The desks of one person: one for each user that he is at a GateManager. The page shows one of them at a time.

Sessions of the others go on meanwhile: each has an agent of its own.
"""

from __future__ import annotations

import asyncio

from gatelink.exceptions import InputError
from lm_client.profiles import ProfileView, profile_views

from .desk import Desk


class Desks:
    """Begins with one; the others are made when they are first shown."""

    def __init__(self, first: Desk) -> None:
        self._usual = first.home.usual
        self._desks = {first.name: first}
        self.now = first
        """The one that is shown."""

    @property
    def are_several(self) -> bool:
        """Whether there is another one to show."""
        return bool(self._usual.profiles)

    def show(self, name: str, *, make: bool = False) -> None:
        """Show another one; ``make`` it if it is not there. Raises InputError."""
        home = self._usual.of_profile(name) if name else self._usual
        if make:
            if name in self._usual.profiles:
                raise InputError(f"there is a profile {name} already: choose another name")
            home.ensure()
        elif name and name not in self._usual.profiles:
            raise InputError(f"there is no profile {name}")
        before, self.now = self.now, self._desks.setdefault(name, Desk(home))
        before.touch()

    async def views(self) -> list[ProfileView]:
        """Return all there are, as their agents say."""
        return await asyncio.to_thread(profile_views, self._usual)

"""The machines that a user wants at hand, in the order in which he chose them."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from gatelink.exceptions import InputError
from lm_client.home import Home

MAX_FAVOURITES: Final = 100


class Favourites:
    """``favourites.json``: ids of appliances."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.ids: list[str] = []
        with contextlib.suppress(InputError):
            self.ids = home.load(home.favourites_path, list[str]) or []

    def toggle(self, appliance_id: str) -> bool:
        """Add or remove one; return whether it is one now. Raises InputError."""
        if appliance_id in self.ids:
            self.ids.remove(appliance_id)
        elif len(self.ids) >= MAX_FAVOURITES:
            raise InputError(f"there are {MAX_FAVOURITES} favourites already: remove one first")
        else:
            self.ids.append(appliance_id)
        self._home.ensure()
        self._home.write(self._home.favourites_path, msgspec.json.format(msgspec.json.encode(self.ids)))
        return appliance_id in self.ids

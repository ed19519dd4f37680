"""Who a person is at which GateManagers: the usual home and the profiles beside it."""

from __future__ import annotations

import msgspec

from gatelink.exceptions import GatelinkError, InputError
from lm_client.asking import ask
from lm_client.core.local import GetStatus, Status
from lm_client.home import Home


class ProfileView(msgspec.Struct, frozen=True):
    """One of them, as it is now."""

    profile: str
    """Empty: the usual one."""
    user: str
    gm: str
    logged_in: bool
    sessions: int = 0


def profile_views(home: Home) -> list[ProfileView]:
    """Return all of them, the usual one first; asks each agent, so it blocks."""
    usual = home.usual
    return [_view("", usual), *(_view(name, usual.of_profile(name)) for name in usual.profiles)]


def _view(name: str, home: Home) -> ProfileView:
    try:
        profile = home.profile()
        user, gm = profile.user, profile.addresses[0]
    except InputError:
        user = gm = ""
    try:
        status = ask(home, GetStatus(), Status)
    except GatelinkError:
        return ProfileView(name, user, gm, logged_in=False)
    return ProfileView(name, user, gm, logged_in=True, sessions=len(status.sessions))

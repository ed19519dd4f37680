"""Who may use the service on Linux, by user id; on Windows ``host.windows.callers`` says so."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Collection
from typing import Final

from lm_client.streams import Caller

DEFAULT_GROUP: Final = "gatelink"


class Callers:
    """Root and, where no other choice was made, the members of the group ``gatelink``."""

    def __init__(self, uids: Collection[int] = (), group: str = "") -> None:
        self._uids = frozenset(uids)
        self._group = group if uids or group else DEFAULT_GROUP

    def may(self, caller: Caller) -> bool:
        """Whether this user may have tunnels. Groups are looked up anew, so that a new member need not wait."""
        if not isinstance(caller, int):
            return False
        return caller == 0 or caller in self._uids or (bool(self._group) and _is_member(caller, self._group))

    def advice(self, caller: Caller) -> str:
        """Return what is to be done for a user who may not."""
        return f"user {caller} may not have tunnels: add the user to the group gatelink, or use lm service --allow-uid"


def _is_member(uid: int, group: str) -> bool:
    try:
        members = grp.getgrnam(group)
        user = pwd.getpwuid(uid)
    except KeyError:
        return False
    return user.pw_gid == members.gr_gid or user.pw_name in members.gr_mem

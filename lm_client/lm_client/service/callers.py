"""Who may use the service: the kernel says who is at the other end of a Unix socket, nobody can lie about it."""

from __future__ import annotations

import grp
import pwd
import socket
import struct
from collections.abc import Collection
from typing import Final

DEFAULT_GROUP: Final = "gatelink"
_ucred = struct.Struct("3i")


class Callers:
    """Root and, where no other choice was made, the members of the group ``gatelink``."""

    def __init__(self, uids: Collection[int] = (), group: str = "") -> None:
        self._uids = frozenset(uids)
        self._group = group if uids or group else DEFAULT_GROUP

    def uid_of(self, connection: socket.socket) -> int:
        """Return the user id of the process that connected."""
        size = _ucred.size
        _pid, uid, _gid = _ucred.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return int(uid)

    def may(self, uid: int) -> bool:
        """Whether this user may have tunnels. Groups are looked up anew, so that a new member need not wait."""
        return uid == 0 or uid in self._uids or (bool(self._group) and _is_member(uid, self._group))


def _is_member(uid: int, group: str) -> bool:
    try:
        members = grp.getgrnam(group)
        user = pwd.getpwuid(uid)
    except KeyError:
        return False
    return user.pw_gid == members.gr_gid or user.pw_name in members.gr_mem

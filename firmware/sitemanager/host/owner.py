"""Whose the state directory is: root's commands leave no file in it that the daemon's own user cannot read."""

from __future__ import annotations

import os
from pathlib import Path

from sitemanager.exceptions import StateError


def act_as_owner_of(directory: Path) -> None:
    """Where root acts in another user's directory, go on as that user. Raises StateError."""
    if os.geteuid() != 0:
        return
    try:
        owner = directory.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(f"cannot look at {directory}: {error.strerror}") from None
    if owner.st_uid == 0:
        return
    try:
        os.setgroups([])
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    except OSError as error:
        raise StateError(f"cannot act as the owner of {directory} (uid {owner.st_uid}): {error.strerror}") from None

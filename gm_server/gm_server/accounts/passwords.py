"""Argon2id, in a bounded pool: each verification takes 64 MiB and a tenth of a second (RFC 9106, second choice)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gatelink.exceptions import InputError
from gm_server.exceptions import Overloaded

MIN_CHARACTERS: Final = 10
MAX_CHARACTERS: Final = 256
_PARALLEL: Final = 2
_QUEUED: Final = 64
P = ParamSpec("P")
R = TypeVar("R")
_hasher = PasswordHasher()
_NOBODYS_HASH: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$YguqkLS36zJlUtgKOM+gIw$y3RR5XIMryWPhyO05CJkRCHd0jablrcOIvP8dzG8Myo"
)
"""Of no password: verified where there is no account, so that an answer takes as long as for one."""


def check_password(password: str, user_name: str) -> None:
    """Raise InputError that says why a new password is not good enough; it never repeats the password."""
    if len(password) < MIN_CHARACTERS:
        raise InputError(f"a password needs {MIN_CHARACTERS} characters or more, got {len(password)}")
    if len(password) > MAX_CHARACTERS:
        raise InputError(f"a password can have {MAX_CHARACTERS} characters, got {len(password)}")
    if len(set(password)) < 4:
        raise InputError("the password repeats a few characters: choose another one")
    if password.casefold() in (user_name.casefold(), (user_name * 2).casefold()):
        raise InputError("the password is the user's name: choose another one")


def hash_password(password: str) -> str:
    """Return the Argon2id hash in PHC form."""
    return _hasher.hash(password)


def is_password(password: str, password_hash: str | None) -> bool:
    """Say whether the password is right; it takes as long without a hash."""
    try:
        _hasher.verify(password_hash or _NOBODYS_HASH, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


class PasswordPool:
    """At most two at a time, a bounded queue behind them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="argon2")
        self._busy = 0

    @property
    def is_full(self) -> bool:
        """Whether the next one would be refused."""
        return self._busy >= _PARALLEL + _QUEUED

    async def hash(self, password: str) -> str:
        """Return the hash of a new password; raises Overloaded."""
        return await self._run(hash_password, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Say whether the password is right; raises Overloaded."""
        return await self._run(is_password, password, password_hash)

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self.is_full:
            raise Overloaded("too many logins at the same time; try again in a moment")
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, functools.partial(work, *args, **kwargs)
            )
        finally:
            self._busy -= 1

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

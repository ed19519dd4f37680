"""The table of live sessions. No I/O.

A session is ``opening`` from the LM's request until both legs are joined, then ``joined``; when it ends it leaves the
table, so that everything about it is undone exactly once: whoever takes it out does so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from gatelink.messages import TunnelAddresses
from gatelink.messages.shapes import Mode

from .rights import Rights


class Session(msgspec.Struct, kw_only=True):
    """One live session: who, with what, and what it may reach."""

    session_id: str
    user_id: str
    user_name: str
    user_certificate_sha256: bytes
    appliance_id: str
    appliance_path: str
    appliance_certificate_sha256: bytes
    run_id: str
    """Of the appliance's daemon: another run knows nothing of this session."""
    device_ids: tuple[str, ...]
    """What was asked for; empty is everything granted."""
    tunnel: TunnelAddresses
    rights: Rights
    reason: str
    address: str
    """From where the user came."""
    opened_at: float
    resumes: str | None = None
    """The session whose place it takes."""
    mode: Mode = "routed"
    avoid: tuple[str, ...] = ()
    """Virtual addresses that are in use at the PC: devices have others in this session."""
    for_relays: bool = False
    """Whether it carries its user's permanent relays, and nothing else."""
    state: Literal["opening", "joined"] = "opening"
    bytes_from_user: int = 0
    bytes_from_appliance: int = 0


class LiveSessions:
    """Sessions by id, user and appliance."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        """Go over a snapshot: sessions may end meanwhile."""
        return iter(tuple(self._by_id.values()))

    def add(self, session: Session) -> None:
        """Put a new session in."""
        self._by_id[session.session_id] = session

    def get(self, session_id: str) -> Session | None:
        """Return a live session."""
        return self._by_id.get(session_id)

    def take_out(self, session_id: str) -> Session | None:
        """Remove and return a session; None if it has ended already."""
        return self._by_id.pop(session_id, None)

    def of_user(self, user_id: str) -> list[Session]:
        """Return a user's sessions."""
        return [session for session in self._by_id.values() if session.user_id == user_id]

    def of_appliance(self, appliance_id: str) -> list[Session]:
        """Return an appliance's sessions."""
        return [session for session in self._by_id.values() if session.appliance_id == appliance_id]

"""How many bytes went through sessions, for each appliance, until somebody takes the count. No I/O."""

from __future__ import annotations

from gm_server.access.live import Session


class Traffic:
    """Counts what is new."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}
        self.from_users = 0
        self.from_appliances = 0
        """Since the start, of all sessions."""

    def count(self, session: Session, from_user: int, from_appliance: int) -> None:
        """A session carried so many bytes since it began; remember it there, and what is new here."""
        before = self._counts.get(session.appliance_id, (0, 0))
        new = max(0, from_user - session.bytes_from_user), max(0, from_appliance - session.bytes_from_appliance)
        self._counts[session.appliance_id] = (before[0] + new[0], before[1] + new[1])
        self.from_users += new[0]
        self.from_appliances += new[1]
        session.bytes_from_user, session.bytes_from_appliance = from_user, from_appliance

    def take(self, appliance_id: str) -> tuple[int, int]:
        """Return bytes from users and from the appliance since this was asked last."""
        return self._counts.pop(appliance_id, (0, 0))

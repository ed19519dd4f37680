"""Permanent relays."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, belongs_to


class Relay(Base):
    """TCP between a device and a host beside a LinkManager, for as long as this row stays and a grant allows it."""

    __tablename__ = "relays"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    device_id: Mapped[str] = mapped_column(belongs_to("devices.id"), index=True)
    user_id: Mapped[str] = mapped_column(belongs_to("users.id"), index=True)
    """Whose LinkManager carries it."""
    direction: Mapped[str] = mapped_column(String(4))
    """``pull``: programs beside the LinkManager reach the device; ``push``: the device reaches a server there."""
    port: Mapped[int]
    """Where connections are taken: at the LinkManager (pull) or at the SiteManager's machine side (push)."""
    service: Mapped[str] = mapped_column(default="")
    """Of the device, by name; pull only."""
    target_port: Mapped[int]
    """Of the device (pull) or of the PC's end of the tunnel (push)."""
    enabled: Mapped[bool] = mapped_column(default=True)
    note: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[float]
    created_by: Mapped[str] = mapped_column(default="")
    __table_args__ = (
        UniqueConstraint("user_id", "name"),
        CheckConstraint("direction IN ('pull', 'push')", name="direction"),
        CheckConstraint("port BETWEEN 1 AND 65535 AND target_port BETWEEN 1 AND 65535", name="ports"),
    )

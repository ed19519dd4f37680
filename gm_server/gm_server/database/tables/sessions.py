"""The history of sessions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base


class SessionRecord(Base):
    """The history of sessions. It keeps names beside ids, because it outlives users and appliances."""

    __tablename__ = "sessions"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    user_name: Mapped[str]
    appliance_id: Mapped[str]
    appliance_path: Mapped[str] = mapped_column(String(640))
    devices: Mapped[str] = mapped_column(Text)
    """Names of the granted devices at the start."""
    address: Mapped[str]
    """From where the user came."""
    reason: Mapped[str] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(String(16), default="routed")
    tunnel_pc: Mapped[str] = mapped_column(String(15))
    requested_at: Mapped[float]
    joined_at: Mapped[float | None]
    ended_at: Mapped[float | None] = mapped_column(index=True)
    end_code: Mapped[str | None]
    end_reason: Mapped[str | None] = mapped_column(Text)
    bytes_from_user: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_from_appliance: Mapped[int] = mapped_column(BigInteger, default=0)
    __table_args__ = (
        Index(None, "requested_at"),
        Index(None, "user_id", "requested_at"),
        Index(None, "appliance_id", "requested_at"),
    )

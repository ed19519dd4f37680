"""The domain tree."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base

LOGIN_METHODS = ("certificate", "certificate+sms", "password+sms", "password")
"""A certificate always comes with the password; where a second factor is asked for, TOTP or a passkey will do too."""


class Domain(Base):
    """A node of the tree that owns appliances and users."""

    __tablename__ = "domains"
    id: Mapped[str] = mapped_column(primary_key=True)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("domains.id", ondelete="RESTRICT"), index=True)
    path: Mapped[str] = mapped_column(String(512), unique=True)
    """Names from the root, ``/`` between them: unique also at the top, where ``parent_id`` is empty."""
    created_at: Mapped[float]
    login_method: Mapped[str | None] = mapped_column(String(24))
    """Of the users below, where neither they nor a nearer domain have another one; None inherits."""
    __table_args__ = (CheckConstraint(f"login_method IN {LOGIN_METHODS}", name="login_method"),)

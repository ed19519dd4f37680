"""Who may reach what, and who asked to."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, belongs_to


class Grant(Base):
    """A user, or a group, may reach a device, the devices of an appliance, or those of a domain and all below it."""

    __tablename__ = "grants"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str | None] = mapped_column(belongs_to("users.id"), index=True)
    group_id: Mapped[str | None] = mapped_column(belongs_to("groups.id"), index=True)
    domain_id: Mapped[str | None] = mapped_column(belongs_to("domains.id"), index=True)
    appliance_id: Mapped[str | None] = mapped_column(belongs_to("appliances.id"), index=True)
    device_id: Mapped[str | None] = mapped_column(belongs_to("devices.id"), index=True)
    all_services: Mapped[bool]
    """False: only those in ``grant_services``, were they none."""
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[float]
    created_by: Mapped[str] = mapped_column(default="")
    bridged: Mapped[bool] = mapped_column(default=False)
    """Whether sessions may be bridged (layer 2)."""
    needs_reason: Mapped[bool] = mapped_column(default=False)
    needs_approval: Mapped[bool] = mapped_column(default=False)
    """It opens nothing itself, but may be asked for: an approved request becomes a grant of its own."""
    weekly: Mapped[str] = mapped_column(Text, default="")
    """When it counts within the week, as JSON (``access.weeks``); empty: always."""
    request_id: Mapped[str | None] = mapped_column(belongs_to("access_requests.id"), index=True)
    """The approved request that made it."""
    valid_from: Mapped[float | None]
    valid_until: Mapped[float | None]
    revoked_at: Mapped[float | None]
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="one_holder"),
        CheckConstraint(
            "(CASE WHEN domain_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN appliance_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN device_id IS NULL THEN 0 ELSE 1 END) = 1",
            name="one_target",
        ),
        CheckConstraint("valid_from IS NULL OR valid_until IS NULL OR valid_from < valid_until", name="times"),
    )


class GrantService(Base):
    """A service, by name, that a grant is limited to."""

    __tablename__ = "grant_services"
    grant_id: Mapped[str] = mapped_column(belongs_to("grants.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


class AccessRequest(Base):
    """Somebody asks for what needs an approval."""

    __tablename__ = "access_requests"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(belongs_to("users.id"), index=True)
    appliance_id: Mapped[str] = mapped_column(belongs_to("appliances.id"), index=True)
    device_ids: Mapped[str] = mapped_column(Text, default="")
    """Ids, spaces between them; empty: every one that may be asked for."""
    reason: Mapped[str] = mapped_column(Text)
    valid_from: Mapped[float | None]
    duration_s: Mapped[float]
    state: Mapped[str] = mapped_column(String(16), index=True)
    created_at: Mapped[float]
    decided_at: Mapped[float | None]
    decided_by: Mapped[str] = mapped_column(default="")
    decision_text: Mapped[str] = mapped_column(Text, default="")
    __table_args__ = (CheckConstraint("state IN ('waiting', 'approved', 'denied', 'withdrawn', 'over')", name="state"),)

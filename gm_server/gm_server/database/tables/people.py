"""People: accounts, groups, roles, certificates and what enrols them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, belongs_to
from .domains import LOGIN_METHODS


class User(Base):
    """A person. Without a password nobody can log in."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str] = mapped_column(ForeignKey("domains.id", ondelete="RESTRICT"), index=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None] = mapped_column(Text)
    """Argon2id in PHC form."""
    created_at: Mapped[float]
    disabled_at: Mapped[float | None]
    full_name: Mapped[str] = mapped_column(default="")
    email: Mapped[str] = mapped_column(String(254), default="")
    phone: Mapped[str] = mapped_column(String(24), default="")
    """International, ``+`` and digits."""
    language: Mapped[str] = mapped_column(String(8), default="")
    login_method: Mapped[str | None] = mapped_column(String(24))
    """None: the nearest domain's."""
    password_changed_at: Mapped[float | None]
    last_login_at: Mapped[float | None]
    __table_args__ = (CheckConstraint(f"login_method IN {LOGIN_METHODS}", name="login_method"),)


class UserCertificate(Base):
    """A certificate by which a user's LinkManager is known."""

    __tablename__ = "user_certificates"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(belongs_to("users.id"), index=True)
    certificate: Mapped[bytes]
    certificate_sha256: Mapped[bytes] = mapped_column(unique=True)
    key_sha256: Mapped[bytes] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(default="")
    """What its owner calls the place where the key is."""
    origin: Mapped[str] = mapped_column(String(16))
    software: Mapped[str] = mapped_column(Text, default="")
    issued_at: Mapped[float]
    last_seen_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    expires_at: Mapped[float | None]
    """Of those from a login without a certificate: of no use afterwards."""
    __table_args__ = (CheckConstraint("origin IN ('invitation', 'pkcs12', 'renewal', 'login')", name="origin"),)


class Claim(Base):
    """The right to enrol once: a claim (of an appliance) or an invitation (of a user).

    It holds the key of the proofs, never the secret. Open: not used, not revoked, not expired. A used one is kept for
    the same key alone, in case the answer was lost, and its proof key is wiped at the first login.
    """

    __tablename__ = "claims"
    id: Mapped[str] = mapped_column(primary_key=True)
    appliance_id: Mapped[str | None] = mapped_column(belongs_to("appliances.id"), index=True)
    user_id: Mapped[str | None] = mapped_column(belongs_to("users.id"), index=True)
    proof_key: Mapped[bytes | None]
    created_at: Mapped[float]
    expires_at: Mapped[float]
    used_at: Mapped[float | None]
    used_key_sha256: Mapped[bytes | None]
    revoked_at: Mapped[float | None]
    __table_args__ = (
        CheckConstraint("(appliance_id IS NULL) <> (user_id IS NULL)", name="one_owner"),
        CheckConstraint("(used_at IS NULL) = (used_key_sha256 IS NULL)", name="used_by"),
        CheckConstraint("revoked_at IS NULL OR proof_key IS NULL", name="revoked_is_wiped"),
    )


class Group(Base):
    """People of a domain who get grants and roles together."""

    __tablename__ = "groups"
    id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str] = mapped_column(ForeignKey("domains.id", ondelete="RESTRICT"))
    name: Mapped[str]
    created_at: Mapped[float]
    __table_args__ = (UniqueConstraint("domain_id", "name"),)


class GroupMember(Base):
    """Who is in a group."""

    __tablename__ = "group_members"
    group_id: Mapped[str] = mapped_column(belongs_to("groups.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(belongs_to("users.id"), primary_key=True, index=True)


class RoleRecord(Base):
    """A role of a user or a group in a domain and everything below it; no domain: of the whole server."""

    __tablename__ = "roles"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str | None] = mapped_column(belongs_to("users.id"), index=True)
    group_id: Mapped[str | None] = mapped_column(belongs_to("groups.id"), index=True)
    domain_id: Mapped[str | None] = mapped_column(belongs_to("domains.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[float]
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="one_holder"),
        CheckConstraint("role IN ('administrator', 'operator', 'observer', 'approver')", name="role"),
    )

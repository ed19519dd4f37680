"""Every table, with the rules that must hold in it. Times are Unix seconds; ids are given by ``ids.new_id``."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {bytes: LargeBinary, float: Double, str: String(128)}  # noqa: RUF012 - SQLAlchemy's way


def _belongs_to(column: str) -> ForeignKey:
    """What belongs to a record goes with it."""
    return ForeignKey(column, ondelete="CASCADE")


class Domain(Base):
    """A node of the tree that owns appliances and users."""

    __tablename__ = "domains"
    id: Mapped[str] = mapped_column(primary_key=True)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("domains.id", ondelete="RESTRICT"), index=True)
    path: Mapped[str] = mapped_column(String(512), unique=True)
    """Names from the root, ``/`` between them: unique also at the top, where ``parent_id`` is empty."""
    created_at: Mapped[float]


class Appliance(Base):
    """A SiteManager: expected (made with its claim, not enrolled yet), active or revoked."""

    __tablename__ = "appliances"
    id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str] = mapped_column(ForeignKey("domains.id", ondelete="RESTRICT"))
    name: Mapped[str]
    state: Mapped[str] = mapped_column(String(16))
    certificate: Mapped[bytes | None]
    certificate_sha256: Mapped[bytes | None] = mapped_column(unique=True)
    key_sha256: Mapped[bytes | None] = mapped_column(unique=True)
    software: Mapped[str] = mapped_column(Text, default="")
    run_id: Mapped[str | None]
    created_at: Mapped[float]
    enrolled_at: Mapped[float | None]
    last_seen_at: Mapped[float | None]
    last_address: Mapped[str | None]
    last_port: Mapped[int | None]
    """Port of the front door that the appliance used."""
    __table_args__ = (
        UniqueConstraint("domain_id", "name"),
        CheckConstraint("state IN ('expected', 'active', 'revoked')", name="state"),
        CheckConstraint(
            "state <> 'active'"
            " OR (certificate IS NOT NULL AND certificate_sha256 IS NOT NULL AND key_sha256 IS NOT NULL)",
            name="active_has_certificate",
        ),
    )


class WaitingAppliance(Base):
    """A SiteManager that came without a claim; ``appliance_id`` is set once somebody adopted it."""

    __tablename__ = "waiting_appliances"
    id: Mapped[str] = mapped_column(primary_key=True)
    key_sha256: Mapped[bytes] = mapped_column(unique=True)
    software: Mapped[str] = mapped_column(Text)
    address: Mapped[str]
    first_seen_at: Mapped[float]
    last_seen_at: Mapped[float]
    appliance_id: Mapped[str | None] = mapped_column(_belongs_to("appliances.id"), unique=True)


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


class UserCertificate(Base):
    """A certificate by which a user's LinkManager is known."""

    __tablename__ = "user_certificates"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(_belongs_to("users.id"), index=True)
    certificate: Mapped[bytes]
    certificate_sha256: Mapped[bytes] = mapped_column(unique=True)
    key_sha256: Mapped[bytes] = mapped_column(unique=True)
    origin: Mapped[str] = mapped_column(String(16))
    software: Mapped[str] = mapped_column(Text, default="")
    issued_at: Mapped[float]
    last_seen_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    __table_args__ = (CheckConstraint("origin IN ('invitation', 'pkcs12')", name="origin"),)


class Claim(Base):
    """The right to enrol once: a claim (of an appliance) or an invitation (of a user).

    It holds the key of the proofs, never the secret. Open: not used, not revoked, not expired. A used one is kept for
    the same key alone, in case the answer was lost, and its proof key is wiped at the first login.
    """

    __tablename__ = "claims"
    id: Mapped[str] = mapped_column(primary_key=True)
    appliance_id: Mapped[str | None] = mapped_column(_belongs_to("appliances.id"), index=True)
    user_id: Mapped[str | None] = mapped_column(_belongs_to("users.id"), index=True)
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


class Device(Base):
    """A PLC, HMI, drive or PC behind an appliance."""

    __tablename__ = "devices"
    id: Mapped[str] = mapped_column(primary_key=True)
    appliance_id: Mapped[str] = mapped_column(_belongs_to("appliances.id"))
    name: Mapped[str]
    address: Mapped[str] = mapped_column(String(15))
    __table_args__ = (UniqueConstraint("appliance_id", "name"), UniqueConstraint("appliance_id", "address"))


class Service(Base):
    """Ports of a device that a grant may open. Several rows of one name are one service."""

    __tablename__ = "services"
    id: Mapped[str] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(_belongs_to("devices.id"))
    name: Mapped[str]
    protocol: Mapped[str] = mapped_column(String(8))
    first_port: Mapped[int]
    last_port: Mapped[int]
    __table_args__ = (
        UniqueConstraint("device_id", "name", "protocol", "first_port"),
        CheckConstraint(
            "(protocol IN ('tcp', 'udp') AND first_port BETWEEN 1 AND 65535 AND last_port BETWEEN first_port AND 65535)"
            " OR (protocol = 'icmp' AND first_port = 0 AND last_port = 0)",
            name="ports",
        ),
    )


class Grant(Base):
    """A user may reach a device, an appliance's devices, or those of a whole domain and what lies below it."""

    __tablename__ = "grants"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(_belongs_to("users.id"), index=True)
    domain_id: Mapped[str | None] = mapped_column(_belongs_to("domains.id"), index=True)
    appliance_id: Mapped[str | None] = mapped_column(_belongs_to("appliances.id"), index=True)
    device_id: Mapped[str | None] = mapped_column(_belongs_to("devices.id"), index=True)
    all_services: Mapped[bool]
    """False: only those in ``grant_services``, were they none."""
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[float]
    valid_from: Mapped[float | None]
    valid_until: Mapped[float | None]
    revoked_at: Mapped[float | None]
    __table_args__ = (
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
    grant_id: Mapped[str] = mapped_column(_belongs_to("grants.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


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
    tunnel_pc: Mapped[str] = mapped_column(String(15))
    requested_at: Mapped[float]
    joined_at: Mapped[float | None]
    ended_at: Mapped[float | None] = mapped_column(index=True)
    end_code: Mapped[str | None]
    end_reason: Mapped[str | None] = mapped_column(Text)
    bytes_from_user: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_from_appliance: Mapped[int] = mapped_column(BigInteger, default=0)
    __table_args__ = (Index(None, "requested_at"),)


class Succession(Base):
    """A statement by which an appliance certificate of this GateManager follows the one before."""

    __tablename__ = "successions"
    id: Mapped[int] = mapped_column(primary_key=True)
    old_key_sha256: Mapped[bytes]
    new_certificate: Mapped[bytes]
    signature: Mapped[bytes]
    created_at: Mapped[float]


class PinAlarmRecord(Base):
    """A foreign certificate that a party met on its way here."""

    __tablename__ = "pin_alarms"
    id: Mapped[int] = mapped_column(primary_key=True)
    reporter_id: Mapped[str]
    reporter_name: Mapped[str] = mapped_column(String(640))
    address: Mapped[str] = mapped_column(String(255))
    port: Mapped[int]
    proxy: Mapped[bool]
    serial: Mapped[str]
    key_sha256: Mapped[bytes]
    first_seen_at: Mapped[float]
    """By the reporter's clock."""
    last_seen_at: Mapped[float]
    reported_at: Mapped[float]
    __table_args__ = (UniqueConstraint("reporter_id", "address", "port", "key_sha256"),)

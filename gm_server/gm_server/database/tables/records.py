"""What the server keeps of itself: audit, alarms, settings, what is to be sent."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base


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


class AuditEntry(Base):
    """An entry of the audit log: each carries the hash of the one before (``audit.chain``)."""

    __tablename__ = "audit_entries"
    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[float] = mapped_column(index=True)
    event: Mapped[str] = mapped_column(String(64), index=True)
    result: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[str] = mapped_column(index=True)
    actor_name: Mapped[str]
    via: Mapped[str] = mapped_column(String(16))
    address: Mapped[str]
    subject_id: Mapped[str] = mapped_column(index=True)
    subject_name: Mapped[str] = mapped_column(String(640))
    domain: Mapped[str] = mapped_column(String(512), index=True)
    """Path of the domain that it concerns; empty: the server. Who sees the domain sees the entry."""
    details: Mapped[str] = mapped_column(Text)
    """JSON with sorted keys."""
    hash: Mapped[bytes]


class AuditCheckpoint(Base):
    """The appliance key's signature over an entry's hash."""

    __tablename__ = "audit_checkpoints"
    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[float]
    hash: Mapped[bytes]
    key_sha256: Mapped[bytes]
    """Of the key that signed: the appliance certificate may have been renewed since."""
    signature: Mapped[bytes]


class AuditCut(Base):
    """Up to here the log was written to a file and taken out of this database (``audit.cuts``)."""

    __tablename__ = "audit_cuts"
    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    """Of the last entry that was taken out."""
    at: Mapped[float]
    hash: Mapped[bytes]
    """Of that entry: the next one's hash covers it."""
    key_sha256: Mapped[bytes]
    signature: Mapped[bytes]


class Alarm(Base):
    """Something that somebody should look at, from when until when."""

    __tablename__ = "alarms"
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str]
    subject_name: Mapped[str] = mapped_column(String(640))
    domain: Mapped[str] = mapped_column(String(512))
    text: Mapped[str] = mapped_column(Text)
    since: Mapped[float]
    ended_at: Mapped[float | None] = mapped_column(index=True)
    seen_at: Mapped[float | None]
    seen_by: Mapped[str] = mapped_column(default="")


class Outgoing(Base):
    """A mail or text message to be sent; kept until it is, or is given up."""

    __tablename__ = "outgoing"
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(String(254), default="")
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float]
    expires_at: Mapped[float]
    next_try_at: Mapped[float | None] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[float | None]
    error: Mapped[str] = mapped_column(Text, default="")


class Setting(Base):
    """A setting that is made in the portal, as JSON."""

    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[float]

"""SiteManagers, what is behind them, and what they told."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, belongs_to


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
    hardware: Mapped[str] = mapped_column(default="")
    firmware: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(Text, default="")
    """What it last reported of itself, as JSON (``messages.ApplianceStatus``)."""
    status_at: Mapped[float | None]
    events_kept: Mapped[int] = mapped_column(BigInteger, default=0)
    """The number of the last event of the unit that is kept here."""
    offline_alarm_minutes: Mapped[int | None]
    """After which its absence is an alarm; None inherits the server's setting, 0 never."""
    note: Mapped[str] = mapped_column(Text, default="")
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
    appliance_id: Mapped[str | None] = mapped_column(belongs_to("appliances.id"), unique=True)


class Device(Base):
    """A PLC, HMI, drive or PC behind an appliance; or a serial port of it."""

    __tablename__ = "devices"
    id: Mapped[str] = mapped_column(primary_key=True)
    appliance_id: Mapped[str] = mapped_column(belongs_to("appliances.id"))
    name: Mapped[str]
    address: Mapped[str | None] = mapped_column(String(15))
    serial_port: Mapped[str | None] = mapped_column(String(64))
    """Name of the appliance's port."""
    serial_settings: Mapped[str] = mapped_column(Text, default="")
    """How the port is offered, as JSON."""
    virtual_number: Mapped[int | None] = mapped_column(unique=True)
    """Place in the server's network of virtual addresses; given once, for ever."""
    mac: Mapped[str] = mapped_column(String(17), default="")
    preset: Mapped[str] = mapped_column(String(64), default="")
    vendor: Mapped[str] = mapped_column(default="")
    model: Mapped[str] = mapped_column(default="")
    note: Mapped[str] = mapped_column(Text, default="")
    check_kind: Mapped[str] = mapped_column(String(8), default="ping")
    """``ping``, ``tcp``, ``modbus`` or ``none``."""
    check_port: Mapped[int] = mapped_column(default=0)
    reachable: Mapped[bool | None]
    checked_at: Mapped[float | None]
    check_text: Mapped[str] = mapped_column(default="")
    __table_args__ = (
        UniqueConstraint("appliance_id", "name"),
        UniqueConstraint("appliance_id", "address"),
        UniqueConstraint("appliance_id", "serial_port"),
        CheckConstraint("(address IS NULL) <> (serial_port IS NULL)", name="address_or_port"),
    )


class Service(Base):
    """Ports of a device that a grant may open. Several rows of one name are one service."""

    __tablename__ = "services"
    id: Mapped[str] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(belongs_to("devices.id"))
    name: Mapped[str]
    protocol: Mapped[str] = mapped_column(String(8))
    first_port: Mapped[int]
    last_port: Mapped[int]
    __table_args__ = (
        UniqueConstraint("device_id", "name", "protocol", "first_port"),
        CheckConstraint(
            "(protocol IN ('tcp', 'udp') AND first_port BETWEEN 1 AND 65535 AND last_port BETWEEN first_port AND 65535)"
            " OR (protocol = 'icmp' AND first_port = 0 AND last_port = 0)"
            " OR (protocol = 'ethernet' AND first_port BETWEEN 1536 AND 65535 AND last_port = first_port)",
            name="ports",
        ),
    )


class ApplianceSample(Base):
    """An appliance at a moment, for the plots; thinned out with age."""

    __tablename__ = "appliance_samples"
    appliance_id: Mapped[str] = mapped_column(belongs_to("appliances.id"), primary_key=True)
    at: Mapped[float] = mapped_column(primary_key=True)
    online: Mapped[bool]
    latency_ms: Mapped[float | None]
    bytes_from_users: Mapped[int] = mapped_column(BigInteger, default=0)
    """Since the sample before."""
    bytes_from_appliance: Mapped[int] = mapped_column(BigInteger, default=0)
    uplink: Mapped[str] = mapped_column(default="")
    port: Mapped[int | None]


class ApplianceEventRecord(Base):
    """What an appliance reported and was acknowledged: each number once."""

    __tablename__ = "appliance_events"
    appliance_id: Mapped[str] = mapped_column(belongs_to("appliances.id"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    at: Mapped[float]
    """By the appliance's clock."""
    kept_at: Mapped[float]
    text: Mapped[str] = mapped_column(Text)


class FirmwareBundle(Base):
    """A firmware file; its bytes lie beside the database, named by the id."""

    __tablename__ = "firmware_bundles"
    id: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[str | None] = mapped_column(belongs_to("domains.id"))
    """Whose it is; None: everybody's."""
    version: Mapped[str]
    board: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[bytes]
    created_at: Mapped[float]


class FirmwareRollout(Base):
    """A bundle on its way to many appliances, in waves."""

    __tablename__ = "firmware_rollouts"
    id: Mapped[str] = mapped_column(primary_key=True)
    bundle_id: Mapped[str] = mapped_column(belongs_to("firmware_bundles.id"))
    domain_id: Mapped[str] = mapped_column(belongs_to("domains.id"))
    """In or below which all its appliances are: whoever has roles there sees it."""
    wave_size: Mapped[int]
    stop_after_failures: Mapped[int]
    allow_older: Mapped[bool]
    during_sessions: Mapped[bool]
    state: Mapped[str] = mapped_column(String(16))
    """``running``, ``stopped`` or ``finished``."""
    text: Mapped[str] = mapped_column(Text, default="")
    """Why it was stopped."""
    created_at: Mapped[float]
    created_by: Mapped[str]


class FirmwareTarget(Base):
    """An appliance of a roll-out."""

    __tablename__ = "firmware_targets"
    rollout_id: Mapped[str] = mapped_column(belongs_to("firmware_rollouts.id"), primary_key=True)
    appliance_id: Mapped[str] = mapped_column(belongs_to("appliances.id"), primary_key=True, index=True)
    position: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    """``pending``, ``offered`` (and nothing heard since), or a ``messages.FirmwareState``."""
    percent: Mapped[int] = mapped_column(default=0)
    text: Mapped[str] = mapped_column(Text, default="")
    changed_at: Mapped[float]

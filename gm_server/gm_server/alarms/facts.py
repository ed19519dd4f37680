"""Reads what alarms are decided by."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gatelink.identity import load_certificate
from gm_server.appliances.rollouts import BY_ITSELF
from gm_server.audit.events import Event
from gm_server.database.tables import (
    Appliance,
    AuditEntry,
    Domain,
    FirmwareBundle,
    FirmwareRollout,
    FirmwareTarget,
    User,
    UserCertificate,
)

from .conditions import ApplianceFact, CertificateFact, FailedLogins, RolloutFact

LOGINS_S: Final = 3600.0
_HORIZON_S: Final = 366 * 86400.0


def missing_appliances(session: Session, online: Collection[str], default_minutes: int) -> list[ApplianceFact]:
    """Return the active appliances that were here once and are not connected."""
    query = (
        select(Appliance.id, Domain.path, Appliance.name, Appliance.last_seen_at, Appliance.offline_alarm_minutes)
        .join(Domain, Domain.id == Appliance.domain_id)
        .where(Appliance.state == "active", Appliance.last_seen_at.is_not(None))
    )
    return [
        ApplianceFact(row.id, f"{row.path}/{row.name}", row.last_seen_at, _minutes(row, default_minutes))
        for row in session.execute(query)
        if row.id not in online
    ]


def failed_logins(session: Session, now: float) -> list[FailedLogins]:
    """Return failed logins of the last hour: by account, and by address where no account was known."""
    recent = (AuditEntry.event == Event.LOGIN_FAILED.value, AuditEntry.at >= now - LOGINS_S)
    counted = (func.count().label("failures"), func.max(AuditEntry.at).label("last_at"))
    by_account = (
        select(AuditEntry.subject_id, AuditEntry.subject_name, AuditEntry.domain, *counted)
        .where(*recent, AuditEntry.subject_id != "")
        .group_by(AuditEntry.subject_id, AuditEntry.subject_name, AuditEntry.domain)
    )
    by_address = select(AuditEntry.address, *counted).where(*recent, AuditEntry.address != "")
    found = [
        FailedLogins(row.subject_id, f"account {row.subject_name}", row.domain, row.failures, row.last_at)
        for row in session.execute(by_account)
    ]
    found += [
        FailedLogins(row.address, f"from {row.address}", "", row.failures, row.last_at)
        for row in session.execute(by_address.group_by(AuditEntry.address))
    ]
    return found


def halted_rollouts(session: Session) -> list[RolloutFact]:
    """Return the roll-outs that stopped by themselves and were not resumed."""
    last = func.coalesce(func.max(FirmwareTarget.changed_at), FirmwareRollout.created_at)
    query = select(FirmwareRollout.id, FirmwareBundle.version, Domain.path, FirmwareRollout.text, last.label("at"))
    query = query.join(FirmwareBundle, FirmwareBundle.id == FirmwareRollout.bundle_id)
    query = query.join(Domain, Domain.id == FirmwareRollout.domain_id)
    query = query.outerjoin(FirmwareTarget, FirmwareTarget.rollout_id == FirmwareRollout.id)
    query = query.where(FirmwareRollout.state == "stopped", FirmwareRollout.text.startswith(BY_ITSELF))
    rows = session.execute(query.group_by(FirmwareRollout.id))
    return [RolloutFact(row.id, row.version, row.path, row.text, row.at) for row in rows]


def ending_certificates(session: Session, server: Sequence[tuple[str, bytes]], now: float) -> list[CertificateFact]:
    """Return the ends of this server's own certificates (name, DER), and of people's that are in use."""
    found = [
        CertificateFact(name, name, "", load_certificate(der).not_valid_after_utc.timestamp()) for name, der in server
    ]
    query = (
        select(UserCertificate.id, UserCertificate.certificate, User.name, Domain.path)
        .join(User, User.id == UserCertificate.user_id)
        .join(Domain, Domain.id == User.domain_id)
        .where(UserCertificate.revoked_at.is_(None), UserCertificate.expires_at.is_(None), User.disabled_at.is_(None))
        # Those that were made lately live for years.
        .where(UserCertificate.issued_at < now - _HORIZON_S)
    )
    for row in session.execute(query):
        ends_at = load_certificate(row.certificate).not_valid_after_utc.timestamp()
        found.append(CertificateFact(row.id, f"the user {row.name}", row.path, ends_at))
    return found


def _minutes(row: object, default_minutes: int) -> int:
    own: int | None = getattr(row, "offline_alarm_minutes")  # noqa: B009 - a row's attributes are not typed
    return default_minutes if own is None else own

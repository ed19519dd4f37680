"""Users' certificates: by which a LinkManager, or a browser, is known. A revoked one is nobody's."""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from gatelink.identity import Identity, fingerprint_text, serial_text
from gm_server.access.actors import Actor, Permission
from gm_server.accounts.export import export_identity
from gm_server.audit.events import Event
from gm_server.audit.log import record
from gm_server.database.tables import Domain, User, UserCertificate
from gm_server.exceptions import Forbidden

from .authority import must_have_power_over
from .paging import Page, Paging, fetch, matches
from .sight import sight_of
from .subjects import UserFound, find_user, missing


class CertificateView(msgspec.Struct, frozen=True, kw_only=True):
    """A user's certificate."""

    id: str
    user_id: str
    user: str
    name: str
    """What its owner calls the place where the key is."""
    origin: Literal["invitation", "pkcs12", "renewal", "login"]
    serial: str
    key: str
    """Fingerprint."""
    software: str
    state: Literal["valid", "expired", "revoked"]
    issued_at: float
    last_seen_at: float | None
    expires_at: float | None
    revoked_at: float | None


def list_certificates(session: Session, by: Actor, paging: Paging, now: float, user: str = "") -> Page[CertificateView]:
    """Return certificates of users in domains that the actor sees, and his own, newest first."""
    seen = sight_of(session, by, now).domains(Domain.path)
    if by.user_id and by.may_see_himself:
        seen = or_(seen, User.id == by.user_id)
    query = (
        select(UserCertificate, User.name)
        .join(User, User.id == UserCertificate.user_id)
        .join(Domain, Domain.id == User.domain_id)
        .where(seen, matches(paging.search, User.name, UserCertificate.name))
    )
    if user:
        query = query.where(User.id == find_user(session, by, user).record.id)
    found = fetch(session, query, paging, UserCertificate.issued_at, UserCertificate.id, descending=True)
    return Page(tuple(_view(row[0], row[1], now) for row in found.rows), found.next, found.total)


def revoke_certificate(session: Session, by: Actor, certificate_id: str, now: float) -> CertificateView:
    """Never accept a certificate again; connections and sessions by it end within two seconds. Idempotent."""
    certificate = session.get(UserCertificate, certificate_id)
    if certificate is None:
        missing("certificate", certificate_id)
    owner = session.get_one(User, certificate.user_id)
    domain = session.get_one(Domain, owner.domain_id).path
    if owner.id != by.user_id:
        by.must(Permission.CHANGE, domain, f"certificate {certificate_id[:80]}")
        must_have_power_over(session, by, owner.id)
    elif by.scopes is not None and Permission.CHANGE not in by.scopes:
        raise Forbidden("this token may not change anything")
    if certificate.revoked_at is None:
        certificate.revoked_at = now
        session.flush()
        subject = UserFound(owner, domain).subject
        serial = serial_text(certificate.certificate)
        record(session, by, Event.CERTIFICATE_REVOKED, subject, now, "done", serial=serial)
    return _view(certificate, owner.name, now)


def export_certificate(
    session: Session, by: Actor, user: str, authority: Identity, password: str, password_hash: str, now: float
) -> bytes:
    """Make a key and a certificate for a user and set his password; return both as a PKCS#12 file.

    Whoever holds file and password is the user, so power over the account is needed. No key is kept.
    """
    found = find_user(session, by, user, Permission.CHANGE)
    must_have_power_over(session, by, found.record.id)
    data = export_identity(session, found.record, authority, password, password_hash, now)
    record(session, by, Event.CERTIFICATE_ISSUED, found.subject, now, "done", origin="pkcs12")
    return data


def _view(certificate: UserCertificate, user: str, now: float) -> CertificateView:
    over = certificate.expires_at is not None and now >= certificate.expires_at
    return CertificateView(
        id=certificate.id,
        user_id=certificate.user_id,
        user=user,
        name=certificate.name,
        origin=certificate.origin,  # type: ignore[arg-type]  # the schema's rule
        serial=serial_text(certificate.certificate),
        key=fingerprint_text(certificate.key_sha256),
        software=certificate.software,
        state="revoked" if certificate.revoked_at is not None else "expired" if over else "valid",
        issued_at=certificate.issued_at,
        last_seen_at=certificate.last_seen_at,
        expires_at=certificate.expires_at,
        revoked_at=certificate.revoked_at,
    )

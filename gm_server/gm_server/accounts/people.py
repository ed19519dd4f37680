"""What a login reads of the records: who somebody is, and by which certificate."""

from __future__ import annotations

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gm_server.database.tables import Domain, Passkey, RecoveryCode, TotpFactor, User, UserCertificate

from .attempts import FactorKind, Person
from .methods import domain_and_above, in_force


class KnownCertificate(msgspec.Struct, frozen=True):
    """A certificate that was issued here."""

    user_id: str
    digest: bytes
    is_good: bool
    """Neither revoked nor expired."""
    is_over: bool
    """Its time is over; it was not revoked."""
    is_of_login: bool
    """It came from a login without a certificate: it proves no more than that one did, its second factor included."""


def person_by_name(session: Session, name: str) -> Person | None:
    """Return the user of this name."""
    user = session.scalars(select(User).where(User.name == name)).one_or_none()
    return None if user is None else _person(session, user)


def person_by_id(session: Session, user_id: str) -> Person | None:
    """Return a user."""
    user = session.get(User, user_id)
    return None if user is None else _person(session, user)


def find_certificate(session: Session, digest: bytes, now: float) -> KnownCertificate | None:
    """Return what is known of a certificate (SHA-256 of exactly that certificate)."""
    row = session.execute(
        select(
            UserCertificate.user_id, UserCertificate.origin, UserCertificate.revoked_at, UserCertificate.expires_at
        ).where(UserCertificate.certificate_sha256 == digest)
    ).one_or_none()
    if row is None:
        return None
    user_id, origin, revoked_at, expires_at = row
    is_over = revoked_at is None and expires_at is not None and now >= expires_at
    return KnownCertificate(user_id, digest, revoked_at is None and not is_over, is_over, origin == "login")


def note_used(session: Session, digest: bytes, now: float) -> None:
    """Remember that somebody has logged in with a certificate."""
    used = update(UserCertificate).where(UserCertificate.certificate_sha256 == digest)
    session.execute(used.values(last_seen_at=now))


def _person(session: Session, user: User) -> Person:
    domain = session.get_one(Domain, user.domain_id).path
    methods = session.execute(
        select(Domain.path, Domain.login_method).where(Domain.path.in_(domain_and_above(domain)))
    ).tuples()
    return Person(
        user_id=user.id,
        name=user.name,
        domain=domain,
        password_hash=user.password_hash,
        is_good=user.disabled_at is None,
        method=in_force(user.login_method, methods),
        phone=user.phone,
        language=user.language,
        own_factors=_factors(session, user.id),
    )


def _factors(session: Session, user_id: str) -> frozenset[FactorKind]:
    found: set[FactorKind] = set()
    if session.scalar(
        select(TotpFactor.id).where(TotpFactor.user_id == user_id, TotpFactor.confirmed_at.is_not(None)).limit(1)
    ):
        found.add("totp")
    if session.scalar(select(Passkey.id).where(Passkey.user_id == user_id).limit(1)):
        found.add("passkey")
    unused = RecoveryCode.used_at.is_(None)
    if session.scalar(select(RecoveryCode.id).where(RecoveryCode.user_id == user_id, unused).limit(1)):
        found.add("recovery")
    return frozenset(found)

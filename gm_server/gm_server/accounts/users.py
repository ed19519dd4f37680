"""Users: named across the whole GateManager, because they log in by name; each belongs to a domain."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gatelink.identity import certificate_sha256, key_sha256
from gm_server.appliances.domains import get_domain
from gm_server.database.tables import Claim, Domain, User, UserCertificate
from gm_server.exceptions import Conflict, NotFound
from gm_server.ids import new_id
from gm_server.names import check_name


def add_user(session: Session, name: str, domain_path: str, now: float) -> User:
    """Make a user, who cannot log in before an invitation is redeemed or a certificate file is made."""
    domain = get_domain(session, domain_path)
    name = check_name(name, "a user")
    if session.scalar(select(User.id).where(User.name == name)) is not None:
        raise Conflict(f"there is a user {name} already")
    user = User(id=new_id("usr"), domain_id=domain.id, name=name, created_at=now)
    session.add(user)
    session.flush()
    return user


def get_user(session: Session, name: str) -> User:
    """Return a user by name; raises NotFound."""
    user = session.scalars(select(User).where(User.name == name)).one_or_none()
    if user is None:
        raise NotFound(f"there is no user {name}; `gm users list` shows all")
    return user


def list_users(session: Session) -> Sequence[tuple[User, str]]:
    """Return all users with their domains' paths, by name."""
    query = select(User, Domain.path).join(Domain, Domain.id == User.domain_id).order_by(User.name)
    return [(user, path) for user, path in session.execute(query)]


def disable_user(session: Session, name: str, now: float) -> User:
    """Let a user in no more; what runs is ended, open invitations are closed."""
    user = get_user(session, name)
    if user.disabled_at is None:
        user.disabled_at = now
    close = update(Claim).where(Claim.user_id == user.id, Claim.revoked_at.is_(None))
    session.execute(close.values(revoked_at=now, proof_key=None))
    session.flush()
    return user


def enable_user(session: Session, name: str) -> User:
    """Let a disabled user in again."""
    user = get_user(session, name)
    user.disabled_at = None
    session.flush()
    return user


def remove_user(session: Session, name: str) -> None:
    """Remove a user with certificates, invitations and grants; the history keeps the name."""
    session.delete(get_user(session, name))
    session.flush()


def add_certificate(
    session: Session, user_id: str, certificate: bytes, origin: str, software: str, now: float
) -> UserCertificate:
    """Know a user by a certificate from now on."""
    record = UserCertificate(
        id=new_id("crt"),
        user_id=user_id,
        certificate=certificate,
        certificate_sha256=certificate_sha256(certificate),
        key_sha256=key_sha256(certificate),
        origin=origin,
        software=software,
        issued_at=now,
    )
    session.add(record)
    session.flush()
    return record


def is_certificate_of_user(session: Session, digest: bytes) -> bool:
    """Whether a certificate was issued to a user here, good or not (SHA-256 of exactly that certificate)."""
    query = select(UserCertificate.id).where(UserCertificate.certificate_sha256 == digest)
    return session.scalar(query) is not None


def note_login(session: Session, digest: bytes, software: str, now: float) -> None:
    """Remember that a user's certificate was used; what is left of its invitation is wiped."""
    record = session.scalars(select(UserCertificate).where(UserCertificate.certificate_sha256 == digest)).one_or_none()
    if record is None:
        return
    record.last_seen_at = now
    record.software = software
    session.execute(update(Claim).where(Claim.used_key_sha256 == record.key_sha256).values(proof_key=None))

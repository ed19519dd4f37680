"""The second way to a user's certificate: made here, handed over as a password-protected file."""

from __future__ import annotations

import datetime

from sqlalchemy.orm import Session

from gatelink.identity import Identity, issue, make_request, new_key, to_pkcs12
from gm_server.database.tables import User
from gm_server.enrolment.redeem import USER_LIFETIME_DAYS
from gm_server.exceptions import Conflict

from .users import add_certificate


def export_identity(
    session: Session, user: User, authority: Identity, password: str, password_hash: str, now: float
) -> bytes:
    """Make a key and certificate, know the user by it, set the password; return the PKCS#12 file; no key is kept."""
    if user.disabled_at is not None:
        raise Conflict(f"the user {user.name} is disabled: `gm users enable {user.name}` first")
    key = new_key()
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    certificate = issue(make_request(key), authority, user.name, moment, USER_LIFETIME_DAYS)
    add_certificate(session, user.id, certificate, "pkcs12", "", now)
    user.password_hash = password_hash
    session.flush()
    return to_pkcs12(Identity(certificate, key), user.name, password)

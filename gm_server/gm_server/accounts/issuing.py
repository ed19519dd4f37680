"""A certificate that ends with the day: what a login without a certificate brings."""

from __future__ import annotations

import datetime
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from gatelink.exceptions import Refused
from gatelink.identity import Identity, issue, request_key_sha256
from gm_server.access.actors import Actor
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import UserCertificate
from gm_server.names import printable

from .attempts import Person
from .users import add_certificate

LOGIN_LIFETIME_S: Final = 12 * 3600.0
LOGIN_OVER: Final = "the login is over after 12 hours, or the certificate was replaced: log in again"
"""What a LinkManager is told when a certificate with an end has reached it."""
_KEPT_S: Final = 30 * 86400.0
"""After its end, for whoever looks where somebody was logged in."""


def issue_for_login(
    session: Session, person: Person, csr: bytes, software: str, authority: Identity, by: Actor, now: float
) -> bytes:
    """Return a certificate (DER) that is good until ``LOGIN_LIFETIME_S``; raises ProtocolError for a bad request."""
    digest = request_key_sha256(csr)
    over = UserCertificate.expires_at < now - _KEPT_S
    session.execute(delete(UserCertificate).where(UserCertificate.user_id == person.user_id, over))
    if session.query(UserCertificate.id).where(UserCertificate.key_sha256 == digest).first() is not None:
        raise Refused("login", "this key has a certificate already: begin again with a new key")
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    certificate = issue(csr, authority, person.name, moment, 1)
    added = add_certificate(session, person.user_id, certificate, "login", printable(software), now)
    added.expires_at = now + LOGIN_LIFETIME_S
    session.flush()
    subject = Subject(added.id, person.name, person.domain)
    record(session, by, Event.CERTIFICATE_ISSUED, subject, now, origin="login")
    return certificate

"""What the server sent and could not send: mail and text messages, for whoever administers it. Nobody reads bodies."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import Actor
from gm_server.accounts.users import get_user
from gm_server.database.tables import AuditEntry, Outgoing
from gm_server.mail import letters
from gm_server.mail.outbox import queue


class OutgoingView(msgspec.Struct, frozen=True, kw_only=True):
    """A mail on its way, or one that was sent or given up."""

    id: str
    recipient: str
    subject: str
    created_at: float
    sent_at: float | None
    tries: int
    error: str


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message, as the audit log has it."""

    at: float
    event: str
    result: str
    subject: str
    details: str


def list_mail(session: Session, by: Actor, limit: int = 20) -> tuple[OutgoingView, ...]:
    """Return the last mails."""
    by.must_serve()
    query = select(Outgoing).where(Outgoing.kind == "mail").order_by(Outgoing.created_at.desc(), Outgoing.id)
    return tuple(
        OutgoingView(
            id=one.id,
            recipient=one.recipient,
            subject=one.subject,
            created_at=one.created_at,
            sent_at=one.sent_at,
            tries=one.tries,
            error=one.error,
        )
        for one in session.scalars(query.limit(limit))
    )


def list_deliveries(session: Session, by: Actor, limit: int = 20) -> tuple[Sent, ...]:
    """Return what became of the last messages."""
    by.must_serve()
    query = select(AuditEntry).where(AuditEntry.event.in_(("message.sent", "message.failed")))
    return tuple(
        Sent(at=one.at, event=one.event, result=one.result, subject=one.subject_name, details=one.details)
        for one in session.scalars(query.order_by(AuditEntry.number.desc()).limit(limit))
    )


def send_trial_mail(session: Session, by: Actor, gatemanager: str, now: float) -> str:
    """Queue a mail to the actor himself; returns the address."""
    by.must_serve()
    email = get_user(session, by.name).email
    if not email:
        raise InputError("your account has no mail address: enter one under Users first")
    queue(session, email, letters.trial(gatemanager, by.name), now)
    return email


def phone_of(session: Session, by: Actor) -> str:
    """Return the actor's own number, for a test."""
    by.must_serve()
    phone = get_user(session, by.name).phone
    if not phone:
        raise InputError("your account has no mobile number: enter one under Users first")
    return phone

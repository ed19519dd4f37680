"""Which mail server sends, and for whom. Kept among the settings; the password is never shown again."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import Actor
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Setting
from gm_server.names import check_text

NAME: Final = "mail"


class MailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Empty ``host``: no mail is sent."""

    host: Annotated[str, Meta(max_length=253)] = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """``none`` is for a mail server on this machine: a password is not sent that way."""
    user: Annotated[str, Meta(max_length=254)] = ""
    password: Annotated[str, Meta(max_length=512)] = ""
    sender: Annotated[str, Meta(max_length=254)] = ""
    """Address that mail comes from."""
    ca_file: Annotated[str, Meta(max_length=512)] = ""
    """PEM file of the authority of the mail server's certificate; empty: those that the system trusts."""

    @property
    def is_on(self) -> bool:
        """Whether mail can be sent."""
        return bool(self.host and self.sender)


def load_mail(session: Session) -> MailSettings:
    """Return the settings with the password; raises InputError if they are damaged."""
    row = session.get(Setting, NAME)
    return MailSettings() if row is None else parse_mail(row.value)


def parse_mail(data: bytes | str) -> MailSettings:
    """Read settings that somebody wrote as JSON; raises InputError that names the field."""
    try:
        return msgspec.json.decode(data, type=MailSettings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the settings for mail are wrong: {error}") from None


def shown(settings: MailSettings) -> MailSettings:
    """Return the settings without the password, for people."""
    return msgspec.structs.replace(settings, password="")


def save_mail(session: Session, by: Actor, settings: MailSettings, now: float) -> MailSettings:
    """Keep the settings; an empty password leaves the one of before, but never for another server or user.

    Raises Forbidden, InputError.
    """
    by.must_serve()
    before = load_mail(session)
    if settings.host:
        check_address(settings.sender, "the sender's address")
        check_text(settings.host, "the mail server", 253)
    if settings.user and not settings.password and before.password:
        if _target(before) != _target(settings):
            raise InputError("mail goes to another server now: enter the password again")
        settings = msgspec.structs.replace(settings, password=before.password)
    if settings.password and settings.security == "none":
        raise InputError("a password is not sent without TLS: choose starttls or tls")
    session.merge(Setting(name=NAME, value=msgspec.json.encode(settings).decode(), changed_at=now))
    record(session, by, Event.SETTING_CHANGED, Subject(NAME, "mail"), now, server=settings.host, user=settings.user)
    return shown(settings)


def check_address(address: str, what: str) -> str:
    """Return a mail address as it can stand in a header; raises InputError."""
    local, at, domain = address.rpartition("@")
    fine = address.isascii() and address.isprintable() and not set(address) & set(' <>,;:"\\()[]')
    if not (at and local and "." in f".{domain}" and domain) or not fine or len(address) > 254:
        raise InputError(f"expected a mail address like gm@example.com for {what}, got {address[:60]!r}")
    return address


def _target(settings: MailSettings) -> tuple[str, int, str, str, str]:
    return settings.host, settings.port, settings.security, settings.user, settings.ca_file

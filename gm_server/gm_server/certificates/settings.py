"""Where the certificate for browsers comes from. Kept among the settings."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import Actor
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Setting

NAME: Final = "web-certificate"
LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
Path = Annotated[str, Meta(max_length=1024)]


class WebCertificateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``own``: what lies in the data directory, self-signed at first; ``files``; ``acme``."""

    kind: Literal["own", "files", "acme"] = "own"
    certificate_file: Path = ""
    """PEM, the chain behind it. Read again whenever it changes."""
    key_file: Path = ""
    directory_url: Annotated[str, Meta(max_length=512)] = LETS_ENCRYPT
    names: Annotated[tuple[Annotated[str, Meta(max_length=253)], ...], Meta(max_length=16)] = ()
    """Host names for the certificate."""
    email: Annotated[str, Meta(max_length=254)] = ""
    """To which the authority writes; may be empty."""
    terms_agreed: bool = False
    challenge: Literal["http-01", "tls-alpn-01"] = "http-01"
    """By which the authority sees that a name is ours: on port 80, or on port 443."""
    authority_file: Path = ""
    """PEM file with which the authority's own server is checked; empty: what the system trusts."""


def load_web_certificate_settings(session: Session) -> WebCertificateSettings:
    """Return the settings; raises InputError if they are damaged."""
    row = session.get(Setting, NAME)
    return WebCertificateSettings() if row is None else parse_web_certificate_settings(row.value)


def parse_web_certificate_settings(data: bytes | str) -> WebCertificateSettings:
    """Read settings that somebody wrote as JSON; raises InputError that names the field."""
    try:
        return msgspec.json.decode(data, type=WebCertificateSettings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the settings of the web certificate are wrong: {error}") from None


def save_web_certificate_settings(session: Session, by: Actor, settings: WebCertificateSettings, now: float) -> None:
    """Keep the settings; raises Forbidden, InputError. They are put to use within seconds."""
    by.must_serve()
    check(settings)
    session.merge(Setting(name=NAME, value=msgspec.json.encode(settings).decode(), changed_at=now))
    names = ", ".join(settings.names)
    record(session, by, Event.SETTING_CHANGED, Subject(NAME, "web certificate"), now, kind=settings.kind, names=names)


def check(settings: WebCertificateSettings) -> None:
    """Raise InputError for settings that cannot work."""
    if settings.kind == "files" and not (
        settings.certificate_file.startswith("/") and settings.key_file.startswith("/")
    ):
        raise InputError("name the certificate's and the key's file by their whole paths")
    if settings.kind == "acme":
        if not settings.names:
            raise InputError("name the hosts that the certificate is to be for")
        for name in settings.names:
            _check_name(name)
        if not settings.directory_url.startswith("https://"):
            raise InputError("expected an ACME directory like https://acme.example.com/directory")
        if not settings.terms_agreed:
            raise InputError("the authority's terms must be agreed to first")


def _check_name(name: str) -> None:
    labels = name.split(".")
    fine = all(label and label.replace("-", "").isalnum() and label.isascii() for label in labels)
    try:
        ipaddress.ip_address(name)
        fine = False
    except ValueError:
        pass
    if not fine or len(labels) < 2:
        raise InputError(f"expected a host name like gm.example.com, got {name[:60]!r}")

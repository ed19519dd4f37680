"""Which providers send text messages, in which order. Kept among the settings; secrets are never shown again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import Actor
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Setting

NAME: Final = "texting"
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
Short: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Secret: TypeAlias = Annotated[str, Meta(max_length=512)]


class HttpProvider(msgspec.Struct, frozen=True, tag_field="kind", tag="http", kw_only=True, forbid_unknown_fields=True):
    """A web service. ``{to}``, ``{text}`` and ``{secret}`` are put into address, headers and body, quoted as it needs.

    ``{to}`` begins with ``+``; ``{to_digits}`` has none.
    """

    name: Short
    method: Literal["POST", "GET", "PUT"] = "POST"
    url: Annotated[str, Meta(min_length=8, max_length=2048)]
    headers: Annotated[dict[str, Annotated[str, Meta(max_length=1024)]], Meta(max_length=32)] = {}
    body: Annotated[str, Meta(max_length=8192)] = ""
    secret: Secret = ""
    expect: Annotated[str, Meta(max_length=256)] = ""
    """What the answer must hold, beside a status of 2xx; empty: nothing."""


class SmppProvider(msgspec.Struct, frozen=True, tag_field="kind", tag="smpp", kw_only=True, forbid_unknown_fields=True):
    """A message centre that speaks SMPP 3.4."""

    name: Short
    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 2775
    tls: bool = False
    system_id: Annotated[str, Meta(max_length=15)] = ""
    secret: Annotated[str, Meta(max_length=8)] = ""
    """SMPP allows eight characters."""
    sender: Annotated[str, Meta(max_length=20)] = ""


class ModemProvider(
    msgspec.Struct, frozen=True, tag_field="kind", tag="modem", kw_only=True, forbid_unknown_fields=True
):
    """A GSM modem at a serial port."""

    name: Short
    port: Annotated[str, Meta(min_length=1, max_length=255)]
    baud: Annotated[int, Meta(ge=1200, le=4_000_000)] = 115_200
    secret: Annotated[str, Meta(max_length=8)] = ""
    """The card's PIN; empty if it has none."""


Provider: TypeAlias = HttpProvider | SmppProvider | ModemProvider


class TextingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it: the first provider is tried first."""

    providers: Annotated[tuple[Provider, ...], Meta(max_length=8)] = ()


def load_texting(session: Session) -> TextingSettings:
    """Return the settings with their secrets; raises InputError if they are damaged."""
    row = session.get(Setting, NAME)
    if row is None:
        return TextingSettings()
    try:
        return msgspec.json.decode(row.value, type=TextingSettings)
    except msgspec.DecodeError as error:
        raise InputError(f"the settings for text messages are damaged: {error}") from None


def shown(settings: TextingSettings) -> TextingSettings:
    """Return the settings without their secrets, for people."""
    return TextingSettings(tuple(msgspec.structs.replace(provider, secret="") for provider in settings.providers))


def parse_texting(data: bytes | str) -> TextingSettings:
    """Read settings that somebody wrote as JSON; raises InputError that names the field."""
    try:
        return msgspec.json.decode(data, type=TextingSettings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the settings for text messages are wrong: {error}") from None


def save_texting(
    session: Session, by: Actor, settings: TextingSettings, now: float, renamed: Mapping[str, str] = _NOTHING
) -> TextingSettings:
    """Keep the settings; an empty secret leaves the one that the provider of this name and kind had.

    ``renamed`` says what new names were before; without it one of the same kind and address that is gone is taken
    for the same one. But where a provider is asked at another address than before its secret must be given again:
    whoever may change settings does not learn it so. Raises Forbidden, InputError.
    """
    by.must_serve()
    names = [provider.name for provider in settings.providers]
    if len(set(names)) < len(names):
        raise InputError("two providers have the same name: give each one of its own")
    before = load_texting(session).providers
    gone = [provider for provider in before if provider.name not in names]
    kept = tuple(
        _with_secret(_checked(one), _before(one, before, gone, renamed.get(one.name, one.name)))
        for one in settings.providers
    )
    value = msgspec.json.encode(TextingSettings(kept)).decode()
    session.merge(Setting(name=NAME, value=value, changed_at=now))
    subject = Subject(NAME, "text messages")
    record(session, by, Event.SETTING_CHANGED, subject, now, providers=", ".join(names))
    return shown(TextingSettings(kept))


def _before(provider: Provider, before: Sequence[Provider], gone: Sequence[Provider], name: str) -> Provider | None:
    """Return what a provider was before; None if it is new."""
    for old in before:
        if old.name == name and type(old) is type(provider):
            return old
    same = [old for old in gone if type(old) is type(provider) and _target(old) == _target(provider)]
    if len(same) > 1 and not provider.secret:
        raise InputError(f"{provider.name}: it may be any of {len(same)} that are gone: enter its secret")
    return same[0] if same else None


def _with_secret(provider: Provider, old: Provider | None) -> Provider:
    if provider.secret or old is None or not old.secret:
        return provider
    if _target(old) != _target(provider):
        raise InputError(f"{provider.name}: it is asked at another address now: enter its secret again")
    return msgspec.structs.replace(provider, secret=old.secret)


def _target(provider: Provider) -> tuple[object, ...]:
    match provider:
        case HttpProvider():
            parts = urlsplit(provider.url)
            return parts.scheme, parts.netloc
        case SmppProvider():
            return provider.host, provider.port, provider.tls
        case ModemProvider():
            return (provider.port,)


def _checked(provider: Provider) -> Provider:
    if isinstance(provider, HttpProvider):
        parts = urlsplit(provider.url)
        if parts.scheme not in ("https", "http") or not parts.hostname or "{" in parts.netloc:
            raise InputError(f"{provider.name}: expected an address like https://sms.example.com/send")
        for name, value in provider.headers.items():
            if not name.isascii() or not name.replace("-", "").isalnum() or "\r" in value or "\n" in value:
                raise InputError(f"{provider.name}: the header {name[:40]!r} cannot be sent")
    elif isinstance(provider, ModemProvider) and not provider.port.startswith("/dev/"):
        raise InputError(f"{provider.name}: expected a serial port like /dev/ttyUSB0, got {provider.port[:60]!r}")
    return provider

"""How patient alarms are. Kept among the settings."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import Actor
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Setting

NAME: Final = "alarms"
Count = Annotated[int, Meta(ge=0, le=100_000)]


class AlarmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """0 switches one off."""

    offline_minutes: Count = 10
    """After which a missing appliance is an alarm, where it has no time of its own."""
    failed_logins: Count = 10
    """To one account, or from one address, within an hour."""
    certificate_days: Annotated[int, Meta(ge=0, le=365)] = 14
    """Before the end of a certificate."""
    mail: bool = True
    """Whether who may change the domain gets a letter."""


def load_alarm_settings(session: Session) -> AlarmSettings:
    """Return the settings; raises InputError if they are damaged."""
    row = session.get(Setting, NAME)
    return AlarmSettings() if row is None else parse_alarm_settings(row.value)


def parse_alarm_settings(data: bytes | str) -> AlarmSettings:
    """Read settings that somebody wrote as JSON; raises InputError that names the field."""
    try:
        return msgspec.json.decode(data, type=AlarmSettings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the settings of alarms are wrong: {error}") from None


def save_alarm_settings(session: Session, by: Actor, settings: AlarmSettings, now: float) -> None:
    """Keep the settings; raises Forbidden."""
    by.must_serve()
    session.merge(Setting(name=NAME, value=msgspec.json.encode(settings).decode(), changed_at=now))
    record(session, by, Event.SETTING_CHANGED, Subject(NAME, "alarms"), now, **msgspec.structs.asdict(settings))

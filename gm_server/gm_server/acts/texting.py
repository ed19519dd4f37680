"""By which providers text messages are sent: an affair of the whole server's administrators."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from gm_server.access.actors import Actor
from gm_server.texting.numbers import check_phone
from gm_server.texting.settings import TextingSettings, load_texting, save_texting, shown

TEST_TEXT = "Gatelink: this is a test. Your GateManager can send text messages."


def texting_settings(session: Session, by: Actor) -> TextingSettings:
    """Return the providers in their order, without their secrets."""
    by.must_serve()
    return shown(load_texting(session))


def change_texting(
    session: Session, by: Actor, settings: TextingSettings, now: float, renamed: Mapping[str, str] | None = None
) -> TextingSettings:
    """Use these providers from now on; an empty secret keeps the one that the provider of this name has.

    ``renamed`` says what new names were before.
    """
    return save_texting(session, by, settings, now, renamed or {})


def may_test(session: Session, by: Actor, recipient: str) -> str:
    """Return to whom a test is sent (``TextMessages.deliver`` does it); raises Forbidden, InputError."""
    by.must_serve()
    load_texting(session)
    return check_phone(recipient)

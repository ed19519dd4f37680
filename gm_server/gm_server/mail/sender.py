"""Sends what waits in the outbox, one letter after the other, and tries again later what did not go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy.orm import Session

from gatelink.exceptions import GatelinkError
from gm_server.access.actors import SYSTEM
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.store import Store
from gm_server.database.tables import Outgoing

from . import outbox, smtp
from .letters import Letter
from .settings import MailSettings, load_mail

LOOK_S: Final = 2.0
BATCH: Final = 20
TIDY_S: Final = 3600.0
_log = logging.getLogger("gm.mail")


class Postman:
    """``name`` is what recipients see as the sender; ``clock`` is Unix time."""

    def __init__(self, store: Store, name: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._name = name
        self._clock = clock
        self._tidy_at = 0.0

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                sent = await self.round()
            except GatelinkError as error:
                sent = 0
                _log.error("mail is not looked at: %s", error)
            if not sent:
                await asyncio.sleep(LOOK_S)

    async def round(self) -> int:
        """Try every letter whose turn it is, a few at most; return how many went."""
        now = self._clock()
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_S
            await self._store.note(outbox.tidy, now)
        settings, letters = await self._store.read(_load, now)
        if not settings.is_on:
            return 0
        sent = 0
        for letter in letters:
            sent += await self._send(settings, letter)
        return sent

    async def test(self, recipient: str, letter: Letter) -> None:
        """Send one letter now; raises MailError, which says why not."""
        settings = await self._store.read(load_mail)
        if not settings.is_on:
            raise smtp.MailError("no mail server is set up")
        arguments = (settings, self._name, recipient, letter.subject, letter.body, self._clock())
        await asyncio.to_thread(smtp.send, *arguments)

    async def _send(self, settings: MailSettings, letter: Outgoing) -> bool:
        arguments = (settings, self._name, letter.recipient, letter.subject, letter.body, self._clock())
        try:
            await asyncio.to_thread(smtp.send, *arguments)
        except smtp.MailError as error:
            again = await self._store.note(_failed, letter.id, str(error), self._clock(), for_good=error.for_good)
            _log.warning("mail %s was not sent%s: %s", letter.id, "" if again else ", and is given up", error)
            return False
        await self._store.note(_sent, letter.id, self._clock())
        return True


def _load(session: Session, now: float) -> tuple[MailSettings, list[Outgoing]]:
    settings = load_mail(session)
    return settings, list(outbox.due(session, now, BATCH)) if settings.is_on else []


def _sent(session: Session, message_id: str, now: float) -> None:
    outbox.note_sent(session, message_id, now)
    message = session.get_one(Outgoing, message_id)
    record(session, SYSTEM, Event.MESSAGE_SENT, Subject(message_id, message.subject), now, kind="mail")


def _failed(session: Session, message_id: str, error: str, now: float, *, for_good: bool) -> bool:
    again = outbox.note_failed(session, message_id, error, now, for_good=for_good)
    if not again:
        subject = Subject(message_id, session.get_one(Outgoing, message_id).subject)
        record(session, SYSTEM, Event.MESSAGE_FAILED, subject, now, "failed", kind="mail", error=error)
    return again

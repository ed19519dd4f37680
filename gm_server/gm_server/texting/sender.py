"""Sends a text message by the first provider that takes it, and writes down what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from gatelink.exceptions import GatelinkError
from gm_server.access.actors import SYSTEM
from gm_server.audit.events import Event
from gm_server.audit.log import Result, Subject, record
from gm_server.database.store import Store

from .http_provider import send_by_http
from .modem import PinRefused, send_by_modem
from .settings import HttpProvider, ModemProvider, Provider, SmppProvider, load_texting
from .smpp import send_by_smpp

PROVIDER_S: Final = 90.0
"""For one provider with one message."""
_log = logging.getLogger("gm.texting")


class Delivery(msgspec.Struct, frozen=True):
    """What one provider did with a message."""

    provider: str
    error: str = ""


class TextMessages:
    """``clock`` is Unix time."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._modem_in_use = asyncio.Lock()
        self._refused: set[ModemProvider] = set()
        """Whose cards refused their PINs, until other settings are made."""

    async def send(self, recipient: str, text: str, valid_s: float, /) -> None:
        """Return when a provider has taken the message; raises GatelinkError if none does."""
        tried = await self.deliver(recipient, text, valid_s)
        if not tried:
            raise GatelinkError("no provider for text messages is set up")
        if tried[-1].error:
            raise GatelinkError("; ".join(delivery.error for delivery in tried))

    async def deliver(self, recipient: str, text: str, valid_s: float) -> list[Delivery]:
        """Try the providers in their order until one takes the message; return what each did."""
        settings = await self._store.read(load_texting)
        tried: list[Delivery] = []
        for provider in settings.providers:
            delivery = await self._try(provider, recipient, text, valid_s)
            tried.append(delivery)
            await self._store.note(_record, delivery, recipient, self._clock())
            if not delivery.error:
                break
            _log.warning("no text message: %s", delivery.error)
        return tried

    async def _try(self, provider: Provider, recipient: str, text: str, valid_s: float) -> Delivery:
        try:
            async with asyncio.timeout(PROVIDER_S):
                match provider:
                    case HttpProvider():
                        await send_by_http(provider, recipient, text)
                    case SmppProvider():
                        await send_by_smpp(provider, recipient, text)
                    case ModemProvider():
                        await self._by_modem(provider, recipient, text, valid_s)
        except TimeoutError:
            return Delivery(provider.name, f"{provider.name} took longer than {PROVIDER_S:.0f} s")
        except GatelinkError as error:
            return Delivery(provider.name, str(error))
        return Delivery(provider.name)

    async def _by_modem(self, provider: ModemProvider, recipient: str, text: str, valid_s: float) -> None:
        async with self._modem_in_use:
            if provider in self._refused:
                raise GatelinkError(f"{provider.name}: the card refused the PIN: enter the right one in the settings")
            try:
                await send_by_modem(provider, recipient, text, valid_s)
            except PinRefused:
                self._refused.add(provider)
                raise


def _record(session: Session, delivery: Delivery, recipient: str, now: float) -> None:
    event = Event.MESSAGE_FAILED if delivery.error else Event.MESSAGE_SENT
    result: Result = "failed" if delivery.error else "done"
    subject = Subject("", delivery.provider)
    details = {"kind": "sms", "to": f"{recipient[:3]}...{recipient[-2:]}", "error": delivery.error[:200]}
    record(session, SYSTEM, event, subject, now, result, **details)

"""``/live``: tells a browser that what it shows has changed, as server-sent events.

An event says which appliances that the visitor sees look different, and whether records or connected users do; the page
then asks for itself again, with the visitor's rights. A stream ends after ``LIFE_S`` and the browser opens the next:
so who he is, and what he sees, is never older than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from sqlalchemy.orm import Session
from starlette.responses import Response, StreamingResponse

from gm_server.access.actors import Actor, is_within
from gm_server.acts.sight import Sight, sight_of
from gm_server.database.tables import Device
from gm_server.service.live import Change, Watch

from .visits import Visit

LIFE_S: Final = 45.0
QUIET_S: Final = 15.0
"""Without a change for so long a comment is sent: whoever is gone is noticed."""
AGAIN_MS: Final = 500
MAX_NAMED: Final = 20
"""More appliances than these are told as 'many'."""


class Seen(msgspec.Struct, frozen=True):
    """Which appliances a visitor sees."""

    domains: tuple[str, ...] | None
    appliances: frozenset[str]

    def has(self, appliance_id: str, domain: str) -> bool:
        """Whether he sees this one."""
        if self.domains is None or appliance_id in self.appliances:
            return True
        return any(is_within(domain, seen) for seen in self.domains)


async def live(visit: Visit) -> Response:
    """Answer with the stream."""
    seen = await visit.read(_seen, visit.now)
    return StreamingResponse(_events(visit, seen), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _seen(session: Session, by: Actor, now: float) -> Seen:
    sight = sight_of(session, by, now)
    if by.seen_domains is None:
        return Seen(None, frozenset())
    domains = {*by.seen_domains, *(grant.domain for grant in sight.granted if grant.domain is not None)}
    return Seen(tuple(sorted(domains)), _granted_appliances(session, sight))


def _granted_appliances(session: Session, sight: Sight) -> frozenset[str]:
    appliances = {grant.appliance_id for grant in sight.granted if grant.appliance_id is not None}
    devices = (session.get(Device, grant.device_id) for grant in sight.granted if grant.device_id is not None)
    return frozenset(appliances | {device.appliance_id for device in devices if device is not None})


async def _events(visit: Visit, seen: Seen) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFE_S
    feed = visit.live.feed
    async with feed.watch(visit.by.user_id, _after(visit)) as watch:
        yield f"retry: {AGAIN_MS}\nid: {feed.number}\n\n".encode()
        while not watch.is_over and (left_s := end - loop.time()) > 0:
            told = await _next(watch, seen, min(left_s, QUIET_S))
            yield f"id: {feed.number}\n".encode() + told
        if watch.is_over:
            # Another tab of the same person took the place.
            yield b"event: full\ndata: {}\n\n"


def _after(visit: Visit) -> int | None:
    """Return the number of the last change that the browser knows of."""
    text = visit.request.headers.get("last-event-id") or visit.query.text("after")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


async def _next(watch: Watch, seen: Seen, patience_s: float) -> bytes:
    change = await watch.take(patience_s)
    told = None if change is None else _told(change, seen)
    if told is None:
        return b": quiet\n\n"
    return b"event: change\ndata: " + msgspec.json.encode(told) + b"\n\n"


def _told(change: Change, seen: Seen) -> dict[str, object] | None:
    appliances = sorted(key for key, domain in change.appliances.items() if seen.has(key, domain))
    if not (appliances or change.records or change.users or change.anything):
        return None
    named = None if change.anything or len(appliances) > MAX_NAMED else appliances
    return {"appliances": named, "records": change.records, "users": change.users}

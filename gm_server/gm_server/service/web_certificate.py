"""Keeps the certificate for browsers fresh: from the owner's files when they change, from an authority before it ends.

Whatever comes is checked and put into ``web.pem``, then the front door's contexts are replaced: connections that are
open, and sessions, go on with what they began with. What fails is tried again, later each time; the old one stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from gatelink.exceptions import GatelinkError
from gatelink.files import write_atomically
from gm_server import __version__
from gm_server.access.actors import SYSTEM
from gm_server.audit.events import Event
from gm_server.audit.log import Detail, Subject, record
from gm_server.certificates.bundle import Bundle, parse_bundle, read_files
from gm_server.certificates.challenges import Challenges
from gm_server.certificates.settings import WebCertificateSettings, load_web_certificate_settings
from gm_server.database.store import Store

LOOK_S: Final = 5.0
FIRST_RETRY_S: Final = 60.0
LONGEST_RETRY_S: Final = 6 * 3600.0
RENEW_AFTER: Final = 2 / 3
"""Of its lifetime."""
_log = logging.getLogger("gm.certificate")


class WebCertificate:
    """``path`` is ``web.pem``; ``reload`` puts it to use; ``clock`` is Unix time."""

    def __init__(
        self, store: Store, path: Path, challenges: Challenges, reload: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._path = path
        self._challenges = challenges
        self._reload = reload
        self._clock = clock
        self._settings: WebCertificateSettings | None = None
        self._failures = 0
        self._next_at = 0.0
        self._looking = asyncio.Lock()
        self.problem = ""
        """Why the last attempt failed; empty: all is well."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except GatelinkError as error:
                _log.error("the web certificate is not looked at: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Do what is to be done now; one at a time, because an order takes a while."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        settings = await self._store.read(load_web_certificate_settings)
        if settings != self._settings:
            self._settings, self._failures, self._next_at, self.problem = settings, 0, 0.0, ""
        now = self._clock()
        if settings.kind == "own" or now < self._next_at:
            return
        try:
            pem = await self._fetch(settings, now)
            if pem is not None:
                await self._put(pem)
            self._failures, self.problem = 0, ""
        except GatelinkError as error:
            self._failures += 1
            self._next_at = now + min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** (self._failures - 1))
            self.problem = str(error)
            _log.error("no new web certificate: %s", error)

    async def _fetch(self, settings: WebCertificateSettings, now: float) -> bytes | None:
        """Return a certificate to use from now on; None if the present one stays."""
        if settings.kind == "files":
            pem = await asyncio.to_thread(read_files, settings.certificate_file, settings.key_file)
            return pem if pem != self._path.read_bytes() else None
        present = self._present()
        # The one that we made ourselves has no alternative names, an authority's always has.
        if present is not None and set(settings.names) <= set(present.names):
            lifetime_s = present.not_after - present.not_before
            if now < present.not_before + lifetime_s * RENEW_AFTER:
                return None
        # Slow to import, and needed by few.
        from gm_server.certificates.authority import fetch

        account = self._path.with_name("acme.json")
        return await asyncio.to_thread(fetch, settings, account, self._challenges, __version__)

    async def _put(self, pem: bytes) -> None:
        bundle = parse_bundle(pem)
        before = self._path.read_bytes()
        await asyncio.to_thread(write_atomically, self._path, pem)
        try:
            self._reload()
        except GatelinkError:
            await asyncio.to_thread(write_atomically, self._path, before)
            raise
        await self._store.note(_record, bundle, self._clock())
        _log.info("new web certificate for %s by %s", ", ".join(bundle.names), bundle.issuer)

    def _present(self) -> Bundle | None:
        try:
            return parse_bundle(self._path.read_bytes())
        except (GatelinkError, OSError):
            return None


def _record(session: Session, bundle: Bundle, now: float) -> None:
    names = ", ".join(bundle.names)
    details: dict[str, Detail] = {"names": names, "issuer": bundle.issuer, "until": bundle.not_after}
    record(session, SYSTEM, Event.WEB_CERTIFICATE_CHANGED, Subject(name=names), now, **details)

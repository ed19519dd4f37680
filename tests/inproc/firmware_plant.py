"""A GateManager with appliances that take firmware: SiteManagers made of protocol messages."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.messages.appliance import MAX_CHUNK_BYTES
from gm_server.acts import rollouts
from gm_server.acts.firmware import BundleView
from gm_server.acts.paging import Paging
from gm_server.acts.rollouts import NewRollout, RolloutView
from gm_server.appliances.domains import add_domain
from gm_server.appliances.registry import add_appliance
from gm_server.database.tables import Appliance as ApplianceRecord
from gm_server.database.tables import AuditEntry
from inproc.gm_people import CONSOLE
from inproc.gm_running import Appliance, RunningGm, make_directory, running_gm
from inproc.test_gm_process import GmProcess

DEADLINE_S: Final = 60.0
NAMES: Final = ("a", "b", "c", "d", "e")


class Gateway(Appliance):
    """A SiteManager that does what it is offered, word by word."""

    async def offered(self) -> messages.FirmwareOffer:
        assert self.conversation is not None
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.conversation.receive(messages.GM_TO_APPLIANCE)
                if isinstance(message, messages.FirmwareOffer):
                    return message

    async def piece(self, bundle_id: str, offset: int, size_bytes: int = MAX_CHUNK_BYTES) -> bytes | str:
        """Return a piece, or the code of the refusal."""
        await self.say(messages.FirmwareFetch(request_id=77, bundle_id=bundle_id, offset=offset, size_bytes=size_bytes))
        assert self.conversation is not None
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.conversation.receive(messages.GM_TO_APPLIANCE)
                if isinstance(message, messages.FirmwareChunk):
                    return message.data
                if isinstance(message, messages.Refusal):
                    return message.code

    async def fetch(self, offer: messages.FirmwareOffer) -> bytes:
        whole = bytearray()
        while piece := await self.piece(offer.bundle_id, len(whole)):
            assert isinstance(piece, bytes), piece
            whole += piece
        return bytes(whole)

    async def refused(self, bundle_id: str) -> None:
        """Ask until the bundle is not given any more."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.piece(bundle_id, 0, 1) != "unknown-bundle":  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

    async def tell(self, bundle_id: str, state: messages.FirmwareState, percent: int = 0, text: str = "") -> None:
        await self.say(messages.FirmwareProgress(bundle_id=bundle_id, state=state, percent=percent, text=text))


def furnish(session: Session) -> None:
    add_domain(session, "acme", 1.0)
    for name in NAMES:
        add_appliance(session, "acme", name, 1.0)


def with_images(session: Session) -> None:
    """All of them said once which firmware they run."""
    session.execute(update(ApplianceRecord).values(firmware="1.0"))


@contextlib.asynccontextmanager
async def plant(path: Path) -> AsyncIterator[tuple[RunningGm, dict[str, Gateway]]]:
    async with running_gm(path / "gm") as gm, contextlib.AsyncExitStack() as stack:
        gm.write(furnish)
        gateways = {}
        for name in NAMES:
            gateways[name] = Gateway(gm, await gm.enrolled_appliance(f"acme/{name}"))
            stack.callback(gateways[name].close)
        gm.write(with_images)
        yield gm, gateways


@contextlib.asynccontextmanager
async def gm_process(path: Path) -> AsyncIterator[GmProcess]:
    gm = GmProcess(make_directory(path))
    await gm.start()
    try:
        yield gm
    finally:
        await gm.stop(signal.SIGKILL)


def begin(gm: RunningGm, bundle: BundleView, **terms: object) -> RolloutView:
    new = msgspec.convert({"bundle": bundle.id, "domain": "acme", **terms}, NewRollout)
    return gm.write(rollouts.start_rollout, CONSOLE, gm.directory.bundle_files(), new, gm.clock())


def states(gm: RunningGm, rollout: RolloutView) -> dict[str, str]:
    page = gm.read(rollouts.list_targets, CONSOLE, rollout.id, Paging())
    return {target.appliance.rpartition("/")[2]: target.state for target in page.items}


def view(gm: RunningGm, rollout: RolloutView) -> RolloutView:
    return gm.read(rollouts.get_rollout, CONSOLE, rollout.id)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of tests
            await asyncio.sleep(0.02)


def events(gm: RunningGm) -> list[tuple[str, str, str]]:
    columns = (AuditEntry.event, AuditEntry.result, AuditEntry.actor_name)
    query = select(*columns).where(AuditEntry.event.like("firmware%")).order_by(AuditEntry.number)
    return [(row[0], row[1], row[2]) for row in gm.read(lambda session: session.execute(query).all())]

"""Firmware from an upload to the last gateway, with SiteManagers made of protocol messages."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest
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
from gm_server.exceptions import Conflict
from inproc.firmware_bundles import keep_bundle
from inproc.gm_people import CONSOLE
from inproc.gm_running import Appliance, RunningGm, running_gm

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
    query = select(AuditEntry.event, AuditEntry.result, AuditEntry.actor_name).where(AuditEntry.event.like("firmware%"))
    return [(row[0], row[1], row[2]) for row in gm.read(lambda session: session.execute(query).all())]


def test_rollout_goes_in_waves_to_whoever_is_there_and_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with plant(tmp_path) as (gm, gateways):
            for name in "abc":
                await gateways[name].log_in()
            bundle = keep_bundle(gm, CONSOLE, "2.0")
            rollout = begin(gm, bundle, wave_size=2)
            assert (rollout.total, rollout.pending) == (5, 5)
            offer = await gateways["a"].offered()
            assert (offer.version, offer.allow_older, offer.during_sessions) == ("2.0", False, False)
            assert (await gateways["b"].offered()).bundle_id == offer.bundle_id == bundle.id
            assert states(gm, rollout)["c"] == "pending"
            # Only who has the offer gets anything.
            assert await gateways["c"].piece(offer.bundle_id, 0) == "unknown-bundle"
            assert await gateways["a"].piece("bnd-another", 0) == "unknown-bundle"
            fetched = await gateways["a"].fetch(offer)
            assert fetched == gm.directory.bundle_files().path(bundle.id).read_bytes()
            assert (len(fetched), hashlib.sha256(fetched).digest()) == (offer.size_bytes, offer.sha256)
            assert await gateways["a"].piece(offer.bundle_id, 10, 5) == fetched[10:15]
            await gateways["a"].tell(offer.bundle_id, "fetching", 40)
            await until(lambda: states(gm, rollout)["a"] == "fetching")
            # What it was not offered, nobody believes.
            await gateways["c"].tell(offer.bundle_id, "good")
            await gateways["a"].tell(offer.bundle_id, "good")
            await until(lambda: states(gm, rollout)["a"] == "good")
            assert states(gm, rollout)["c"] == "pending"
            await gateways["a"].refused(offer.bundle_id)
            # The next wave waits for the last of this one; a connection that broke is told again.
            gateways["b"].close()
            await gateways["b"].log_in("run-2")
            assert await gateways["b"].offered() == offer
            await gateways["b"].tell(offer.bundle_id, "good")
            assert await gateways["c"].offered() == offer
            await gateways["c"].tell(offer.bundle_id, "good")
            await until(lambda: view(gm, rollout).good == 3)
            assert view(gm, rollout).state == "running"
            for name in "de":
                await gateways[name].log_in()
                assert await gateways[name].offered() == offer
                await gateways[name].tell(offer.bundle_id, "good", 100, "runs\x07")
            await until(lambda: view(gm, rollout).state == "finished")
            assert events(gm) == [
                ("firmware.uploaded", "done", "root"),
                ("firmware.rollout-started", "done", "root"),
                *(("firmware.installed", "done", f"acme/{name}") for name in NAMES),
            ]
            gm.write(lambda session: session.execute(update(ApplianceRecord).values(firmware="2.0")))
            with pytest.raises(Conflict, match="nobody in acme"):
                begin(gm, bundle)

    asyncio.run(scenario())

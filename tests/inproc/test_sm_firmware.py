"""Updates by the daemon: from the GateManager piece by piece over broken lines, from the page, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gatelink.messages import FirmwareChunk, FirmwareFetch, FirmwareOffer, FirmwareProgress, Refusal
from gatelink.messages.appliance import FirmwareState
from inproc.sm_site import FarEnd, Site, SiteGm, eventually, open_session
from inproc.test_smpage_daemon import Technician
from sitemanager.core.firmware_requests import CancelUpdateRequest, FirmwareAnswer, FirmwareRequest
from sitemanager.core.updates import System
from sitemanager.host.slots.fake import FakeSlots
from sitemanager.services.update.record import FILE_NAME
from sitemanager.web.app import application
from sitemanager.web.daemon import DaemonLink, NotDone

BUNDLE = random.Random(5).randbytes(300_000)
OLD = System("A", "0.1.0")
NEW = System("B", "0.2.0", trial=True)


class Shop:
    """The GateManager's side: offers a bundle and answers for pieces of it, as many as the test lets it."""

    def __init__(self, gm: SiteGm, content: bytes = BUNDLE) -> None:
        self.gm = gm
        self.content = content
        self.pieces_left = 1000
        self.offsets: list[int] = []
        self._seen = 0

    def offer(self, bundle_id: str = "b1", **changes: Any) -> None:
        digest = hashlib.sha256(BUNDLE).digest()
        fields = {"version": "0.2.0", "size_bytes": len(BUNDLE), "sha256": digest, **changes}
        self.gm.send(FirmwareOffer(bundle_id=bundle_id, **fields))

    async def serve(self) -> None:
        """Answer until cancelled."""
        while True:
            for message in self.gm.messages[self._seen :]:
                if isinstance(message, FirmwareFetch):
                    self.offsets.append(message.offset)
                    if self.pieces_left > 0 and self.gm.channel is not None:
                        self.pieces_left -= 1
                        data = self.content[message.offset : message.offset + message.size_bytes]
                        self.gm.send(FirmwareChunk(request_id=message.request_id, data=data))
                self._seen += 1
            await asyncio.sleep(0.01)

    @property
    def has_heard_all(self) -> bool:
        """Whether the connection is gone and all that was said on it was worked on."""
        return self.gm.channel is None and self._seen == len(self.gm.messages)

    def asked(self, bundle_id: str) -> int:
        """The number of a request for a piece of this bundle; 0 while there is none."""
        found = [m.request_id for m in self.gm.messages if isinstance(m, FirmwareFetch) and m.bundle_id == bundle_id]
        return found[0] if found else 0

    def progress(self, bundle_id: str = "b1") -> list[FirmwareProgress]:
        found = [message for message in self.gm.messages if isinstance(message, FirmwareProgress)]
        return [message for message in found if message.bundle_id == bundle_id]

    def times_told(self, state: FirmwareState) -> int:
        return [message.state for message in self.progress()].count(state)

    async def told(self, state: str, text: str = "", bundle_id: str = "b1") -> FirmwareProgress:
        def last() -> FirmwareProgress | None:
            for message in self.progress(bundle_id):
                if message.state == state and text in message.text:
                    return message
            return None

        found = await self.gm.until(last, f"{state} {text}")
        assert found is not None
        return found


class Plant:
    """A unit with slots and its GateManager; the daemon can be stopped and started, the unit booted."""

    def __init__(self, directory: Path) -> None:
        self.gm = SiteGm()
        self.site = Site(directory)
        self.slots = FakeSlots(directory / "update", OLD)
        self.shop = Shop(self.gm)
        self.site.slots = self.slots

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """One run of the daemon, connected."""
        logins = len(self.gm.logins) + 1
        async with self.site.running():
            await self.gm.connected(logins)
            yield


@contextlib.asynccontextmanager
async def plant(directory: Path) -> AsyncIterator[Plant]:
    found = Plant(directory)
    async with found.gm.scripted:
        found.site.enrol(found.gm.scripted.pin, found.gm.scripted.endpoint.port)
        serving = asyncio.create_task(found.shop.serve())
        try:
            yield found
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            for connection in (*found.gm.far_ends, *found.gm.legs.values()):
                connection.close()


def test_update_of_the_gatemanager_goes_on_over_lost_lines_and_restarts(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with plant(tmp_path) as scene:
            shop, slots = scene.shop, scene.slots
            shop.pieces_left = 3
            async with scene.running():
                shop.offer()
                await eventually(lambda: len(shop.offsets) > 3, "more pieces than are sent")
                # The line is lost: it goes on behind what is there.
                shop.pieces_left = 3
                scene.gm.hang_up()
                await eventually(lambda: max(shop.offsets) >= 6 * 32768, "pieces after the second login")
                await eventually(lambda: shop.pieces_left == 0, "all that is given")
            got = slots.incoming.stat().st_size
            assert got >= 3 * 32768
            await eventually(lambda: shop.has_heard_all, "the last questions of that run")
            shop.offsets.clear()
            shop.pieces_left = 1000
            async with scene.running():
                shop.offer()
                await shop.told("installing")
                assert shop.offsets[0] == got
                assert slots.asked == ["install"]
                assert slots.installed == [BUNDLE]
                slots.finish()
                await eventually(lambda: slots.asked == ["install", "restart"], "the restart")
            slots.boot(NEW)
            async with scene.running():
                await shop.told("restarting", "being tried")
                assert not [message for message in shop.progress() if message.state == "good"]
                slots.found = System("B", "0.2.0")
                await shop.told("good")
            assert not slots.bundle.exists()
            assert slots.asked == ["install", "restart"]
            states = [message.state for message in shop.progress()]
            order = list(dict.fromkeys(states))
            assert order == ["fetching", "waiting", "installing", "restarting", "good"]

    asyncio.run(conversation())


def test_new_system_that_did_not_hold_is_told_and_not_begun_again(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with plant(tmp_path) as scene:
            async with scene.running():
                scene.shop.offer()
                await scene.shop.told("installing")
                scene.slots.finish()
                await eventually(lambda: "restart" in scene.slots.asked, "the restart")
            scene.slots.boot(System("A", "0.1.0", fell_back="B 0.2.0 crashes"))
            async with scene.running():
                told = await scene.shop.told("fell-back")
                assert "crashes" in told.text
                # The GateManager's offer crosses the news.
                before = scene.shop.times_told("fell-back")
                scene.shop.offer()
                await eventually(lambda: scene.shop.times_told("fell-back") > before, "the answer to the offer")
            assert scene.slots.asked == ["install", "restart"]

    asyncio.run(conversation())


def test_offers_that_cannot_be_are_refused_with_a_reason(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with plant(tmp_path) as scene:
            shop, slots = scene.shop, scene.slots
            async with scene.running():
                shop.offer("older", version="0.0.9")
                assert "older than 0.1.0" in (await shop.told("refused", bundle_id="older")).text
                shop.offer("large", size_bytes=1 << 40)
                await shop.told("refused", "cannot be one", bundle_id="large")
                shop.offer("same", version="0.1.0")
                await shop.told("good", bundle_id="same")
                slots.room_bytes = 1000
                shop.offer("room")
                await shop.told("failed", "room for 1000", bundle_id="room")
                slots.room_bytes = 1 << 30
                shop.content = bytes(len(BUNDLE))
                shop.offer("damaged")
                await shop.told("failed", "digest is wrong, twice", bundle_id="damaged")
                assert not slots.incoming.exists()
                shop.content = BUNDLE
                shop.pieces_left = 0
                shop.offer("gone")
                number = await eventually(lambda: shop.asked("gone"), "a fetch")
                scene.gm.send(Refusal(code="unknown-bundle", text="not offered any more", request_id=number))
                await shop.told("failed", "not offered any more", bundle_id="gone")
                shop.pieces_left = 1000
                shop.offer("bad", version="0.0.9", allow_older=True)
                await shop.told("installing", bundle_id="bad")
                assert slots.asked == ["install allow-older"]
                # While one is installed another has to wait; it is taken up afterwards.
                shop.offer("second")
                await shop.told("waiting", "another update", bundle_id="second")
                slots.finish("this update is not signed by whom this gateway trusts")
                await shop.told("refused", "not signed", bundle_id="bad")
                await shop.told("installing", bundle_id="second")

    asyncio.run(conversation())


def test_update_waits_for_a_session_unless_it_need_not(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with plant(tmp_path) as scene, scene.running():
            far_end = await open_session(scene.gm, scene.site, FarEnd())
            scene.shop.offer()
            await scene.shop.told("waiting", "somebody is connected")
            assert scene.slots.asked == []
            far_end.close()
            await scene.shop.told("installing")
            scene.slots.finish("no")
            await scene.shop.told("refused")
            await open_session(scene.gm, scene.site, FarEnd("s2"))
            scene.shop.offer("b2", version="0.3.0", during_sessions=True)
            await scene.shop.told("installing", bundle_id="b2")

    asyncio.run(conversation())


def test_page_hands_a_bundle_over_and_says_why_it_is_not_taken(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with plant(tmp_path) as scene, scene.running():
            technician = Technician(scene.site)
            await technician.set_up()
            transport = httpx.ASGITransport(application(DaemonLink(scene.site.runtime)))
            session = technician.visit.session
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
                browser.cookies.set("sm", session)
                page = (await browser.get("/firmware")).text
                assert "0.1.0" in page
                token = page.partition('data-csrf="')[2].partition('"')[0]
                headers = {"content-type": "application/octet-stream", "x-csrf": token}

                async def post(content: bytes, **changes: str) -> httpx.Response:
                    return await browser.post(
                        "/firmware/bundle?during_sessions=1", content=content, headers={**headers, **changes}
                    )

                assert (await post(BUNDLE, **{"x-csrf": "guessed"})).status_code == 403
                assert (await post(BUNDLE, origin="https://evil.example")).status_code == 403
                assert (await post(BUNDLE, **{"content-type": "text/plain"})).status_code == 415
                scene.slots.room_bytes = 10
                refused = await post(BUNDLE)
                assert refused.status_code == 409
                assert "room for 10" in refused.text
                scene.slots.room_bytes = 1 << 30
                assert (await post(BUNDLE)).status_code == 200
                await eventually(lambda: scene.slots.asked == ["install"], "the installation")
                assert scene.slots.installed == [BUNDLE]
                assert (await post(BUNDLE)).status_code == 409
                assert "40 %" in (await browser.get("/firmware/live")).text
                with pytest.raises(NotDone, match="cannot be given up"):
                    await technician.ask(CancelUpdateRequest(), FirmwareAnswer)
                scene.slots.finish("this update is not signed by whom this gateway trusts")

                await eventually(lambda: scene.site.said("update: refused"), "the refusal")
                answer = await technician.ask(FirmwareRequest(), FirmwareAnswer)
                assert answer.update is not None
                assert answer.update.state == "refused"
                assert "not signed" in (await browser.get("/firmware")).text
                browser.cookies.clear()
                assert (await post(BUNDLE)).status_code in (303, 403)
            assert (scene.site.state.directory / FILE_NAME).exists()

    asyncio.run(conversation())

"""A bundle's way from the real GateManager into the slot of a real SiteManager's daemon, and the news of it back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gm_server.database.tables import Appliance as ApplianceRecord
from inproc.firmware_bundles import BOARD, keep_bundle
from inproc.firmware_plant import begin, events, furnish, states, until, view
from inproc.gm_people import CONSOLE
from inproc.gm_running import running_gm
from inproc.sm_site import Site
from sitemanager.core.updates import System
from sitemanager.host.slots.fake import FakeSlots
from sitemanager.host.state import Known


def test_bundle_comes_into_the_slot_and_its_end_into_the_records(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.write(furnish)
            site = Site(tmp_path)
            slots = FakeSlots(tmp_path / "update", System("A", "1.0", board=BOARD))
            site.slots = slots
            enrolment = await gm.enrolled_appliance("acme/a")
            site.enrol(enrolment.pin, gm.endpoint.port)
            site.state.enrolled(enrolment.pin, enrolment.identity, Known(peer_id=enrolment.peer_id, name="a"))

            def reported() -> bool:
                return gm.read(lambda session: session.get_one(ApplianceRecord, enrolment.peer_id).firmware) == "1.0"

            async with site.running():
                # The daemon itself says which firmware and board it is.
                await until(reported)
                other = keep_bundle(gm, CONSOLE, "0.9", payload_bytes=1000)
                refused = begin(gm, other)
                await until(lambda: states(gm, refused)["a"] == "refused")
                bundle = keep_bundle(gm, CONSOLE, "2.0", payload_bytes=2_000_000)
                rollout = begin(gm, bundle)
                await until(lambda: states(gm, rollout)["a"] == "installing")
                kept = gm.directory.bundle_files().path(bundle.id)
                assert slots.installed == [kept.read_bytes()]
                slots.finish()
                await until(lambda: slots.asked == ["install", "restart"])
            slots.boot(System("B", "2.0", trial=True, board=BOARD))
            async with site.running():
                await until(lambda: states(gm, rollout)["a"] == "restarting")
                slots.found = System("B", "2.0", board=BOARD)
                await until(lambda: view(gm, rollout).state == "finished")
            assert view(gm, rollout).good == 1
            assert [result for event, result, _ in events(gm) if event == "firmware.installed"] == ["refused", "done"]

    asyncio.run(scenario())

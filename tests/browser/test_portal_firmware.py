"""An administrator brings firmware to gateways with a browser, and watches how far they are."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from browser.gm_plant import furnish, running_plant
from browser.test_portal_tasks import _context, _picture
from gm_server.database.tables import Appliance as ApplianceRecord
from gm_server.database.tables import FirmwareRollout
from inproc.firmware_bundles import BOARD, bundle_bytes
from inproc.firmware_plant import Gateway

PATIENCE_MS = 60_000
UNITS = ("filler 1", "filler 2", "capper", "labeller")


def _with_images(session: Session) -> None:
    session.execute(update(ApplianceRecord).values(firmware="1.4.0", hardware=BOARD))


def test_firmware_is_uploaded_rolled_out_watched_and_stopped(tmp_path: Path, browser: Browser) -> None:
    bundle = tmp_path / "gatelink-2.0.0.raucb"
    bundle.write_bytes(bundle_bytes("2.0.0", payload_bytes=3_000_000))
    (tmp_path / "holiday.raucb").write_bytes(b"\xff\xd8 a picture")
    with running_plant(tmp_path / "gm", furnish) as plant:
        plant.give_role("ada", "administrator", "acme")
        gateways: list[Gateway] = []
        for name in UNITS:
            plant.connect_appliance(f"acme/bottling/{name}")
            gateways.append(Gateway(plant.gm, plant._parties[-1].enrolment))
            gateways[-1].conversation = plant._parties[-1].conversation
        plant.gm.write(_with_images)
        context = _context(browser)
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies([plant.sign_in("ada")])  # type: ignore[list-item]
        page = context.new_page()
        page.goto(f"{plant.url}/firmware")
        expect(page.get_by_text("Nothing was rolled out yet")).to_be_visible(timeout=PATIENCE_MS)

        # Somebody's holiday is no firmware; what is wrong is said, and the form stays.
        page.get_by_label("The file").set_input_files(tmp_path / "holiday.raucb")
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_role("alert")).to_contain_text("no RAUC bundle", timeout=PATIENCE_MS)
        page.get_by_label("The file").set_input_files(bundle)
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_role("heading", name="Roll out 2.0.0")).to_be_visible(timeout=PATIENCE_MS)

        page.get_by_label("Domain").fill("acme/bottling")
        page.get_by_label("At the same time").fill("2")
        _picture(page, "firmware-roll-out")
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("heading", name="Roll-out of 2.0.0")).to_be_visible(timeout=PATIENCE_MS)
        offers = {plant.run(gateway.offered()) for gateway in _told(gateways)}
        [offer] = offers
        first, second = _told(gateways)
        plant.run(first.tell(offer.bundle_id, "fetching", 62))
        plant.run(second.tell(offer.bundle_id, "installing", 15))
        # The page follows by itself.
        expect(page.get_by_text("fetching, 62 %")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_text("installing, 15 %")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_text("2 under way")).to_be_visible(timeout=PATIENCE_MS)
        _picture(page, "firmware-progress")
        plant.run(first.tell(offer.bundle_id, "good", 100))
        plant.run(second.tell(offer.bundle_id, "fell-back", 0, "<b>the new system</b> did not reach the GateManager"))
        expect(page.get_by_text("stopped by itself after 1 failed")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_text("<b>the new system</b> did not reach the GateManager")).to_be_visible(
            timeout=PATIENCE_MS
        )

        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text("The roll-out goes on.")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("link", name="Stop").click()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("stopped by ada")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("link", name="capper").click()
        expect(page.get_by_text("Update to 2.0.0")).to_be_visible(timeout=PATIENCE_MS)
        page.goto(f"{plant.url}/firmware")
        _picture(page, "firmware")
        page.get_by_role("link", name="Remove 2.0.0").click()
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_text("The firmware is removed.")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_text("No bundle here")).to_be_visible(timeout=PATIENCE_MS)
        assert list(plant.gm.directory.bundle_files().folder.iterdir()) == []
        assert plant.gm.read(lambda session: session.scalars(select(FirmwareRollout)).all()) == []
        context.close()


def _told(gateways: list[Gateway]) -> tuple[Gateway, Gateway]:
    """Those of the first wave: by their names."""
    by_name = dict(zip(UNITS, gateways, strict=True))
    return by_name["capper"], by_name["filler 1"]

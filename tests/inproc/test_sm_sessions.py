"""Sessions of the SM's daemon: how they open, change, are refused and end."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gatelink.messages import DeviceAccess, EndSession, SessionEnded
from inproc.sm_site import MODBUS, PLC, FarEnd, Site, SiteGm, open_session, site_and_gm
from sitemanager.core.desired import DesiredState

OTHER = DeviceAccess("d2", "drive", "192.168.50.11", (MODBUS,))


async def _opened(site: Site, gm: SiteGm) -> None:
    await gm.until(lambda: site.said("open on gls"), "the session to be open")


def test_network_is_made_and_removed_when_session_opens_and_ends(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with site_and_gm(tmp_path) as (site, gm):
            far_end = await open_session(gm, site, FarEnd())
            (session,) = site.network.state.sessions
            assert (session.interface, session.pc, session.gateway) == ("gls0", "100.64.0.2", "100.64.0.1")
            assert session.devices == (PLC,)
            gm.send(EndSession(session_id="s1", code="ended", reason="the grant was withdrawn"))
            ended = await gm.told(SessionEnded, "s1")
            assert "the grant was withdrawn" in ended.reason
            assert site.network.state == DesiredState((), ("eth1",))
            await far_end.ended()

    asyncio.run(conversation())

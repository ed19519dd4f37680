"""Sessions of the SM's daemon: how they open, change, are refused and end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatelink.exceptions import GatelinkError
from gatelink.messages import ChangeSession, DeviceAccess, EndSession, SessionEnded, SessionRefused
from gatelink.wire import ALPN_RELAY
from inproc.sm_site import DEADLINE_S, MODBUS, PLC, FarEnd, Site, SiteGm, eventually, open_session, site_and_gm
from sitemanager.core.admission import HostNetwork
from sitemanager.core.desired import DesiredState
from sitemanager.core.local_requests import LockChangedRequest, StatusRequest
from sitemanager.core.status import Status
from sitemanager.host.lock import RemoteAccessLock
from sitemanager.services.local_client import ask

OTHER = DeviceAccess("d2", "drive", "192.168.50.11", (MODBUS,))
NOTHING = DesiredState((), ("eth1",))


def scene(
    directory: Path, conversation: Callable[[Site, SiteGm], Awaitable[None]], **values: Any
) -> tuple[Site, SiteGm]:
    """Let a site and its GM run through a conversation; afterwards nothing may be left."""

    async def play() -> tuple[Site, SiteGm]:
        async with site_and_gm(directory, **values) as (site, gm):
            await conversation(site, gm)
        assert site.network.state.sessions == ()
        assert site.network.taps == {}
        return site, gm

    return asyncio.run(play())


async def status(site: Site, command: str = "status") -> Status:
    request = LockChangedRequest() if command == "lock-changed" else StatusRequest()
    return await asyncio.to_thread(ask, site.runtime, request, Status)


def test_network_is_made_and_removed_when_session_opens_and_ends(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        far_end = await open_session(gm, site, FarEnd())
        (session,) = site.network.state.sessions
        assert (session.interface, session.pc, session.gateway) == ("gls0", "100.64.0.2", "100.64.0.1")
        assert session.devices == (PLC,)
        gm.send(EndSession(session_id="s1", code="ended", reason="the grant was withdrawn"))
        ended = await gm.told(SessionEnded, "s1")
        assert "the grant was withdrawn" in ended.reason
        assert site.network.state == NOTHING
        await far_end.ended()

    scene(tmp_path, conversation)


def test_frames_pass_both_ways_when_session_is_open(tmp_path: Path) -> None:
    frame = bytes(12) + b"\x08\x00" + b"from the plant" * 3

    async def conversation(site: Site, gm: SiteGm) -> None:
        far_end = await open_session(gm, site, FarEnd())
        assert far_end.tls is not None
        site.network.taps["gls0"].far_end.send(frame)
        far_end.tls.settimeout(DEADLINE_S)

        def receive() -> bytes:
            assert far_end.tls is not None
            data = b""
            while frame not in data:
                data += far_end.tls.recv(65536)
            return data

        await asyncio.to_thread(receive)
        far_end.tls.send(len(frame).to_bytes(4, "big") + frame)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DEADLINE_S):
            assert await loop.sock_recv(site.network.taps["gls0"].far_end, 70000) == frame
        far_end.close()
        ended = await gm.told(SessionEnded, "s1")
        assert ended.bytes_sent > len(frame)
        assert ended.bytes_received > len(frame)

    scene(tmp_path, conversation)


def test_session_ends_when_the_far_end_hangs_up(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        far_end = await open_session(gm, site, FarEnd())
        far_end.close()
        assert "connection lost" in (await gm.told(SessionEnded, "s1")).reason

    scene(tmp_path, conversation)


def test_rules_follow_when_grants_change(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        await open_session(gm, site, FarEnd())
        gm.send(ChangeSession(session_id="s1", devices=(OTHER,)))
        await eventually(lambda: site.network.state.sessions[0].devices == (OTHER,), "the new grants")
        assert (await status(site)).sessions[0].devices == ("drive (192.168.50.11)",)

    scene(tmp_path, conversation)


def test_rules_follow_when_grants_change_while_it_opens(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        far_end = FarEnd()
        gm.send(far_end.announcement())
        gm.send(ChangeSession(session_id="s1", devices=(OTHER,)))
        await far_end.join(gm, site)
        await eventually(lambda: site.said("open on gls0"), "the open session")
        assert site.network.state.sessions[0].devices == (OTHER,)

    scene(tmp_path, conversation)


def test_session_ends_when_its_new_grants_are_impossible(tmp_path: Path) -> None:
    own = msgspec.structs.replace(OTHER, address="192.168.50.1")

    async def conversation(site: Site, gm: SiteGm) -> None:
        await open_session(gm, site, FarEnd())
        gm.send(ChangeSession(session_id="s1", devices=(own,)))
        assert "own address" in (await gm.told(SessionEnded, "s1")).reason

    scene(tmp_path, conversation)


@pytest.mark.parametrize(
    ("device", "values", "code"),
    [
        (msgspec.structs.replace(PLC, address="192.168.50.1"), {}, "own-address"),
        (msgspec.structs.replace(PLC, address="127.0.0.1"), {}, "bad-device"),
        (PLC, {"dev_interfaces": ()}, "no-machine-side"),
    ],
)
def test_session_is_refused_when_it_makes_no_sense_here(
    tmp_path: Path, device: DeviceAccess, values: dict[str, Any], code: str
) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        gm.send(FarEnd().announcement(device))
        assert (await gm.told(SessionRefused, "s1")).code == code

    scene(tmp_path, conversation, **values)


def test_session_is_refused_when_its_tunnel_overlaps_an_uplink(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        site.network.known.append(HostNetwork(ipaddress.IPv4Network("100.64.0.0/10"), "wwan0"))
        gm.send(FarEnd().announcement())
        refused = await gm.told(SessionRefused, "s1")
        assert refused.code == "tunnel-overlap"
        assert "wwan0" in refused.text

    scene(tmp_path, conversation)


def test_session_is_refused_when_the_system_refuses_its_network(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        site.network.refuses = "nft: no such file"
        gm.send(FarEnd().announcement())
        refused = await gm.told(SessionRefused, "s1")
        assert (refused.code, refused.text) == ("network", "nft: no such file")
        await open_session(gm, site, FarEnd("s2"))

    scene(tmp_path, conversation)


def test_session_is_refused_when_there_are_as_many_as_may_be(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        for number in range(2):
            await open_session(gm, site, FarEnd(f"s{number}", f"100.64.{number}.2"))
        gm.send(FarEnd("s9", "100.64.9.2").announcement())
        assert (await gm.told(SessionRefused, "s9")).code == "too-many-sessions"
        # One that takes the place of another is not one more.
        await open_session(gm, site, FarEnd("s1b", "100.64.1.2"))

    scene(tmp_path, conversation, max_sessions=2)


def test_session_is_refused_when_the_far_end_is_not_the_announced_one(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        far_end = FarEnd()
        gm.send(far_end.announcement())
        far_end.identity = FarEnd().identity
        # By TLS 1.3 a client learns of a refused certificate only when it reads.
        with contextlib.suppress(ssl.SSLError, GatelinkError):
            await far_end.join(gm, site)
        assert (await gm.told(SessionRefused, "s1")).code == "trust"

    scene(tmp_path, conversation)


def test_session_is_refused_when_the_announced_certificate_is_damaged(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        gm.send(msgspec.structs.replace(FarEnd().announcement(), peer_certificate=b"nonsense"))
        assert (await gm.told(SessionRefused, "s1")).code == "trust"

    scene(tmp_path, conversation)


def test_old_session_goes_first_when_one_with_its_addresses_comes(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        await open_session(gm, site, FarEnd())
        again = FarEnd("s2")
        gm.send(again.announcement())
        await again.join(gm, site)
        assert "takes its place" in (await gm.told(SessionEnded, "s1")).reason
        await eventually(lambda: site.said("session s2 of anna open on"), "the second session")
        sessions = [state.sessions for state in site.network.states]
        assert all(len(state) <= 1 for state in sessions)
        assert sessions.count(()) >= 2, "nothing was there between the two"

    scene(tmp_path, conversation)


def test_second_announcement_is_ignored_when_the_session_runs(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        far_end = await open_session(gm, site, FarEnd())
        gm.send(far_end.announcement())
        gm.send(EndSession(session_id="s1", code="ended", reason="over"))
        assert "over" in (await gm.told(SessionEnded, "s1")).reason
        assert site.said("announced twice")

    scene(tmp_path, conversation)


def test_end_is_told_again_when_the_session_is_not_here(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        gm.send(EndSession(session_id="ghost", code="ended", reason="over"))
        assert "no such session" in (await gm.told(SessionEnded, "ghost")).reason

    scene(tmp_path, conversation)


def test_session_ends_when_it_is_ended_while_it_opens(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        gm.joins = False
        gm.send(FarEnd().announcement())
        await eventually(lambda: ALPN_RELAY in gm.scripted.accepted, "the leg")
        assert site.network.state.sessions
        gm.send(EndSession(session_id="s1", code="ended", reason="the user went away"))
        assert "the user went away" in (await gm.told(SessionEnded, "s1")).reason
        assert site.network.state == NOTHING

    scene(tmp_path, conversation)


def test_session_ends_when_its_time_is_over_by_the_gatemanagers_clock(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        # The GM of the scene lives in 2033; it is later than it thought at its next welcome.
        ends_at = gm.welcome.unix_time_s + 3600.0
        await open_session(gm, site, FarEnd(), ends_at=ends_at)
        assert (await status(site)).sessions[0].ends_at == ends_at
        gm.welcome = msgspec.structs.replace(gm.welcome, unix_time_s=ends_at - 0.5)
        gm.hang_up()
        assert "time is over" in (await gm.told(SessionEnded, "s1")).reason

    scene(tmp_path, conversation)


def test_session_lives_longer_when_its_end_is_moved(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        first, moved = (gm.welcome.unix_time_s + later_s for later_s in (3600.0, 7200.0))
        await open_session(gm, site, FarEnd(), ends_at=first)
        gm.send(ChangeSession(session_id="s1", devices=(PLC,), ends_at=moved))
        for number, now, is_live in ((2, first + 60.0, True), (3, moved - 0.5, False)):
            gm.welcome = msgspec.structs.replace(gm.welcome, unix_time_s=now)
            site.lines.clear()
            gm.hang_up()
            await gm.connected(number)
            await eventually(lambda: site.said("connected to"), "the welcome")
            if is_live:
                assert (await status(site)).sessions[0].ends_at == moved
        assert "time is over" in (await gm.told(SessionEnded, "s1")).reason

    scene(tmp_path, conversation)


def test_sessions_end_at_once_and_none_comes_when_the_owner_locks(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        await open_session(gm, site, FarEnd())
        lock = RemoteAccessLock(site.state.directory)
        lock.set(locked=True)
        assert (await status(site, "lock-changed")).locked == "locked by its owner"
        assert "locked" in (await gm.told(SessionEnded, "s1")).reason
        gm.send(FarEnd("s2").announcement())
        assert (await gm.told(SessionRefused, "s2")).code == "locked"
        lock.set(locked=False)
        assert (await status(site, "lock-changed")).locked is None
        await open_session(gm, site, FarEnd("s3"))

    scene(tmp_path, conversation)


@pytest.mark.parametrize("damage", ["missing", "damaged", "unreadable"])
def test_session_is_refused_when_the_lock_cannot_be_read(tmp_path: Path, damage: str) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        path = site.state.directory / "remote-access"
        path.unlink()
        if damage == "damaged":
            path.write_bytes(b"\0")
        elif damage == "unreadable":
            path.mkdir()
        gm.send(FarEnd().announcement())
        assert (await gm.told(SessionRefused, "s1")).code == "locked"

    scene(tmp_path, conversation)


def test_session_goes_on_when_the_control_connection_is_lost_for_a_moment(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        await open_session(gm, site, FarEnd())
        gm.hang_up()
        await gm.connected(2)
        assert gm.logins[0].run_id == gm.logins[1].run_id, "the GM sees that sessions may still live"
        assert site.network.state.sessions
        gm.send(EndSession(session_id="s1", code="ended", reason="over"))
        await gm.told(SessionEnded, "s1")

    scene(tmp_path, conversation)


@pytest.mark.slow
def test_session_ends_and_its_end_is_told_later_when_the_control_connection_stays_away(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        far_end = await open_session(gm, site, FarEnd())
        await gm.scripted.stop()
        await far_end.ended()
        await eventually(lambda: site.said("the control connection was lost for 5 s"), "the end")
        assert site.network.state == NOTHING
        gm.scripted.start()
        assert "lost for 5 s" in (await gm.told(SessionEnded, "s1")).reason

    scene(tmp_path, conversation, control_grace_s=5.0)


def test_sessions_end_and_are_told_when_the_daemon_stops(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        await open_session(gm, site, FarEnd())

    _, gm = scene(tmp_path, conversation)
    assert [message for message in gm.messages if isinstance(message, SessionEnded)]


def test_session_is_refused_when_the_daemon_is_stopping(tmp_path: Path) -> None:
    """An LM resumes at once what was ended: the daemon would never come to its end."""

    async def conversation(site: Site, gm: SiteGm) -> None:
        await open_session(gm, site, FarEnd())
        assert site.daemon is not None
        site.network.gate.clear()
        try:
            site.daemon.stop()
            await gm.told(SessionEnded, "s1")
            gm.send(FarEnd("s2").announcement())
            assert (await gm.told(SessionRefused, "s2")).code == "stopping"
        finally:
            site.network.gate.set()

    scene(tmp_path, conversation)


def test_changes_by_others_are_reported_when_the_network_is_put_back(tmp_path: Path) -> None:
    async def conversation(site: Site, gm: SiteGm) -> None:
        site.network.changes = [["the rules were gone"]]
        assert site.daemon is not None
        await site.daemon._network.verify()
        assert site.said("the rules were gone")

    scene(tmp_path, conversation)

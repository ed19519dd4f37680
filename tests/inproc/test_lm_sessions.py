"""The agent's sessions against a scripted GateManager and SiteManager: real TLS, real pumps, a network in memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from gatelink.exceptions import InputError, Refused
from gatelink.messages import (
    ChangeSession,
    Connect,
    Disconnect,
    EndSession,
    Refusal,
    SessionEnded,
    TunnelAddresses,
)
from inproc.lm_office import DEADLINE_S, HMI, PLC, Office, office_and_gm
from inproc.parties import party_identity
from lm_client.config import Config
from lm_client.core.local import (
    Appliances,
    ConnectedTo,
    ConnectTo,
    Disconnected,
    DisconnectFrom,
    Done,
    GetAppliances,
    GetKeys,
    GetStatus,
    Keys,
    Status,
    TrustKey,
)

FRAME = b"\xff" * 12 + b"\x08\x00" + b"hello" * 20
BOTH = {"gl0": {"192.168.50.10", "192.168.50.11"}}


async def _connect(office: Office, target: str = "press") -> ConnectedTo:
    return await office.ask(ConnectTo(target=target), ConnectedTo)


async def _status(office: Office) -> Status:
    return await office.ask(GetStatus(), Status)


def test_frames_flow_both_ways_when_connected(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            answer = await _connect(office)
            assert answer.session.interface == "gl0"
            assert answer.key_is_new
            assert office.routes == BOTH
            far = await gm.far_end()
            wire = office.network.adapters["gl0"].wire
            wire.send(FRAME)
            assert await far.frame() == FRAME
            far.wire.send(FRAME[::-1])
            async with asyncio.timeout(DEADLINE_S):
                assert await asyncio.get_running_loop().sock_recv(wire, 65536) == FRAME[::-1]

    asyncio.run(run())


def test_nothing_is_left_when_disconnected(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            assert await office.ask(DisconnectFrom(target="press"), Disconnected) == Disconnected(names=("press",))
            assert office.routes == {}
            assert (await gm.heard(Disconnect)).session_id == "s1"
            status = await _status(office)
            assert not status.sessions
            assert status.ended[0].detail == "disconnected by the user"

    asyncio.run(run())


def test_nothing_is_left_when_the_agent_ends(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            async with office.logged_in():
                await _connect(office)
            assert office.routes == {}
            await gm.heard(Disconnect)

    asyncio.run(run())


def test_same_adapter_goes_on_when_the_leg_was_cut(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            (await gm.far_end()).cut()
            far = await gm.far_end(2)
            await office.until(lambda: "up on gl0" in office.log.partition("resuming")[2], "the resumption")
            connects = [word for word in gm.said if isinstance(word, Connect)]
            assert [word.resume_session_id for word in connects] == [None, "s1"]
            assert office.network.opened == 1
            office.network.adapters["gl0"].wire.send(FRAME)
            assert await far.frame() == FRAME
            session = (await _status(office)).sessions[0]
            assert (session.state, session.session_id, session.reconnects) == ("up", "s2", 1)

    asyncio.run(run())


def test_frames_of_the_outage_are_dropped_when_resumed(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            gm.refuse_connect = Refusal(code="offline", text="press is not connected to the GateManager")
            (await gm.far_end()).cut()
            await office.until(lambda: "not resumed" in office.log, "a refused resumption")
            office.network.adapters["gl0"].wire.send(b"\x01" * 60)
            gm.refuse_connect = None
            far = await gm.far_end(2)
            await office.until(lambda: "up on gl0" in office.log.partition("resuming")[2], "the resumption")
            office.network.adapters["gl0"].wire.send(FRAME)
            assert await far.frame() == FRAME

    asyncio.run(run())


def test_adapter_is_made_anew_when_resumed_with_other_addresses(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            gm.addresses = TunnelAddresses("198.18.0.6", "198.18.0.5")
            (await gm.far_end()).cut()
            await gm.far_end(2)
            await office.until(lambda: "up on" in office.log.partition("resuming")[2], "the resumption")
            assert [str(adapter.pc) for adapter in office.network.adapters.values()] == ["198.18.0.6"]
            assert set(office.routes["gl0"]) == BOTH["gl0"]

    asyncio.run(run())


def test_session_ends_when_the_resumption_is_refused_for_good(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            gm.refuse_connect = Refusal(code="not-granted", text="you may not reach this")
            (await gm.far_end()).cut()
            await office.until(lambda: office.routes == {}, "the end")
            await office.until(lambda: "ended:" in office.log, "the note")
            status = await _status(office)
            assert status.ended[0].detail == "the GateManager does not resume it: you may not reach this"

    asyncio.run(run())


def test_session_is_given_up_when_time_is_over(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            config = msgspec.structs.replace(
                office.config, session=msgspec.structs.replace(office.config.session, give_up_s=3.0)
            )
            async with office.logged_in(config):
                await _connect(office)
                gm.refuse_connect = Refusal(code="offline", text="press is not connected to the GateManager")
                (await gm.far_end()).cut()
                await office.until(lambda: office.routes == {}, "the end")
                await gm.heard(SessionEnded)
                detail = (await _status(office)).ended[0].detail
                assert detail.startswith("given up after 3 s: press is not connected")

    asyncio.run(run())


def test_nothing_is_left_when_an_administrator_ends_the_session(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            gm.send(EndSession(session_id="s1", code="ended-by-admin", reason="maintenance is over"))
            await office.until(lambda: office.routes == {}, "the end")
            await office.until(lambda: "ended by the GateManager: maintenance is over" in office.log, "the note")
            assert len([word for word in gm.said if isinstance(word, Connect)]) == 1

    asyncio.run(run())


def test_session_ends_when_the_gm_ends_it_while_it_reconnects(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            gm.refuse_connect = Refusal(code="offline", text="press is not connected to the GateManager")
            (await gm.far_end()).cut()
            await office.until(lambda: "not resumed" in office.log, "the outage")
            gm.send(EndSession(session_id="s1", code="grant-ended", reason="what allowed this session has ended"))
            await office.until(lambda: office.routes == {}, "the end")

    asyncio.run(run())


def test_session_is_resumed_when_the_gm_says_that_the_line_broke(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            gm.send(EndSession(session_id="s1", code="relay", reason="the connection ended"))
            await gm.far_end(2)
            await office.until(lambda: "up on gl0" in office.log.partition("resuming")[2], "the resumption")
            assert office.routes == BOTH

    asyncio.run(run())


def test_routes_follow_when_rights_change(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            gm.send(ChangeSession(session_id="s1", devices=(HMI,)))
            await office.until(lambda: office.routes == {"gl0": {HMI.address}}, "narrower routes")
            gm.send(ChangeSession(session_id="s1", devices=(HMI, PLC)))
            await office.until(lambda: office.routes == BOTH, "wider routes")

    asyncio.run(run())


def test_changed_key_is_refused_until_it_is_trusted_when_connecting_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            await office.ask(DisconnectFrom(target=None), Disconnected)
            gm.sm = party_identity("press")
            with pytest.raises(Refused, match=r"another key than before: expected .{39}, got .{39}; .*lm trust press"):
                await _connect(office)
            assert office.network.opened == 1
            assert "another key" in (await gm.heard(SessionEnded)).reason
            keys = await office.ask(GetKeys(target="press"), Keys)
            assert keys.offered is not None
            with pytest.raises(InputError, match="not the key"):
                await office.ask(TrustKey(appliance_id="a1", key_sha256=b"x" * 32), Done)
            await office.ask(TrustKey(appliance_id="a1", key_sha256=keys.offered), Done)
            await _connect(office)

    asyncio.run(run())


def test_session_is_refused_when_the_gm_names_another_sm(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            gm.announced = party_identity("impostor")
            with pytest.raises(Refused, match="another certificate than was announced"):
                await _connect(office)
            assert office.routes == {}
            assert office.home.read(office.home.known_path) is None

    asyncio.run(run())


def test_user_reads_what_to_do_when_the_sm_refuses_his_certificate(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            gm.expected = party_identity("anna")  # as after a renewal that the SiteManager did not hear of
            said = r"the SiteManager did not begin the tunnel: it seems to refuse this PC's certificate \(.*`lm login`"
            with pytest.raises(Refused, match=said) as refused:
                await _connect(office)
            assert "`lm logout` and `lm login` again" in str(refused.value)
            assert len(str(refused.value).splitlines()) == 1
            assert office.network.adapters == {}
            assert "refuse this PC's certificate" in (await gm.heard(SessionEnded)).reason
            gm.expected = None
            await _connect(office)

    asyncio.run(run())


def test_own_reason_is_told_when_the_gm_says_first_that_the_line_broke(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            gm.announced = party_identity("impostor")
            gm.ends_first = EndSession(session_id="s1", code="relay", reason="a leg was lost")
            with pytest.raises(Refused, match="another certificate than was announced"):
                await _connect(office)

    asyncio.run(run())


def test_nothing_is_left_when_connect_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            gm.refuse_connect = Refusal(code="offline", text="press is not connected to the GateManager")
            with pytest.raises(Refused, match="press is not connected"):
                await _connect(office)
            assert office.network.opened == 0
            assert not (await _status(office)).sessions

    asyncio.run(run())


def test_nothing_is_left_when_the_command_is_interrupted(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            gm.joins = False
            _, writer = await asyncio.open_unix_connection(str(office.home.socket_path))
            from lm_client.core.local import frame

            writer.write(frame(ConnectTo(target="press")))
            await gm.heard(Connect)
            await office.until(lambda: office.routes == BOTH, "the adapter")
            writer.close()
            await writer.wait_closed()
            await office.until(lambda: office.routes == {}, "the end")
            assert (await gm.heard(SessionEnded)).session_id == "s1"

    asyncio.run(run())


def test_connect_is_refused_when_the_service_is_not_there(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            office.stop_service()
            with pytest.raises(
                Refused, match=r"the service with rights is not at .*service\.sock .*start `lm service`"
            ):
                await _connect(office)
            await gm.heard(SessionEnded)

    asyncio.run(run())


def test_session_ends_when_the_service_ends(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            office.stop_service()
            await office.until(lambda: "the service with rights has ended" in office.log, "the note")
            assert office.routes == {}
            await gm.heard(SessionEnded)

    asyncio.run(run())


def test_session_goes_on_when_the_control_connection_is_lost(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office)
            gm.hang_up()
            await gm.until(lambda: len(gm.logins) == 2, "the second login")
            office.network.adapters["gl0"].wire.send(FRAME)
            assert await (await gm.far_end()).frame() == FRAME
            assert (await _status(office)).sessions[0].reconnects == 0

    asyncio.run(run())


def test_second_connect_is_refused_when_the_first_is_under_way(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            gm.joins = False
            first = asyncio.ensure_future(_connect(office))
            await office.until(lambda: office.routes == BOTH, "the adapter")
            with pytest.raises(InputError, match="press is being connected already"):
                await _connect(office)
            await office.ask(DisconnectFrom(target=None), Disconnected)
            assert office.routes == {}
            with pytest.raises(Refused, match="disconnected by the user"):
                await first

    asyncio.run(run())


def test_second_connect_says_so_when_connected_already(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            assert not (await _connect(office)).already
            assert (await _connect(office, "press/plc")).already
            assert (await _connect(office, "Acme/Hall 3/press")).already
            assert len(gm.sessions) == 1

    asyncio.run(run())


def test_connect_asks_for_one_device_when_one_was_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await _connect(office, "press/hmi")
            assert office.routes == {"gl0": {HMI.address}}
            assert (await gm.heard(Connect)).device_ids == ("d2",)

    asyncio.run(run())


def test_connect_costs_one_round_trip_when_the_names_are_known(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await office.ask(GetAppliances(), Appliances)
            before = len(gm.said)
            await _connect(office)
            assert [type(word) for word in gm.said[before:]] == [Connect]

    asyncio.run(run())


def test_defaults_are_used_when_there_is_no_config() -> None:
    assert Config().session.give_up_s == 600.0

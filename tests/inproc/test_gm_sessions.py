"""Sessions through a whole GateManager: opened, joined, changed, ended."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.exceptions import LinkError, Refused
from gatelink.frames import encode_frame
from gatelink.messages import encode
from gatelink.wire import TICKET_LIFETIME_S
from gm_server.access.grants import Target, end_grant
from gm_server.access.history import ENDED_BY_ADMINISTRATOR, list_history
from gm_server.accounts.users import disable_user, remove_user
from gm_server.appliances.devices import add_services, remove_device, remove_service
from gm_server.appliances.registry import remove_appliance, revoke_appliance
from gm_server.config import Limits
from gm_server.database.tables import SessionRecord
from gm_server.service.supervisor import TICK_S
from gm_server.service.user_peer import MAX_REQUESTS
from inproc.gm_running import Appliance, RunningGm, User, connected_plant, open_session, until


def _history(gm: RunningGm) -> list[SessionRecord]:
    def read(session: Session) -> list[SessionRecord]:
        records = list(list_history(session, 100))
        session.expunge_all()
        return records

    return gm.read(read)


def test_session_is_joined_and_recorded_when_granted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            session = await open_session(user, appliance, reason="service")
            assert session.connected.tunnel == session.opened.tunnel
            assert session.connected.devices == session.opened.devices
            assert session.connected.peer_certificate == appliance.identity.certificate
            assert session.opened.peer_certificate == user.identity.certificate
            assert session.opened.user == "ada"
            await user.say(messages.Disconnect(request_id=5, session_id=session.session_id))
            assert {type(await user.hear()) for _ in range(2)} == {messages.Done, messages.EndSession}
            assert (await appliance.hear_kind(messages.EndSession)).code == "ended-by-user"
            assert await session.is_cut()
            session.close()
            await until(lambda: _history(gm)[0].ended_at is not None)
            [record] = _history(gm)
            assert (record.user_name, record.appliance_path, record.devices) == ("ada", "acme/line3/press1", "plc")
            assert (record.reason, record.end_code) == ("service", "ended-by-user")
            assert record.joined_at is not None
            assert record.bytes_from_user == record.bytes_from_appliance == len(b"there and back")

    asyncio.run(scenario())


def test_answer_is_the_same_when_the_appliance_is_not_granted_and_when_there_is_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (_, appliance, user):
            not_granted = await user.ask_for(appliance)
            await user.say(messages.Connect(request_id=9, appliance_id="sm-0000000000000000"))
            unknown = await user.hear()
            assert not_granted == unknown
            assert (not_granted.code, not_granted.request_id) == ("not-granted", 9)

    asyncio.run(scenario())


def test_connect_is_refused_when_the_appliance_is_offline(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            appliance.close()
            await until(lambda: not list(gm.server.peers.appliances()))
            assert (await user.ask_for(appliance)).code == "offline"

    asyncio.run(scenario())


def test_appliances_are_listed_with_what_may_be_reached_now(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            await user.say(messages.ListAppliances(request_id=1))
            assert (await user.hear_kind(messages.ApplianceList)).appliances == ()
            gm.grant()
            await user.say(messages.ListAppliances(request_id=2))
            listed = await user.hear_kind(messages.ApplianceList)
            [view] = listed.appliances
            assert (view.name, view.domain, view.online) == ("press1", "acme/line3", True)
            assert view.appliance_id == appliance.enrolment.peer_id
            assert [device.name for device in view.devices] == ["plc"]
            assert not listed.more

    asyncio.run(scenario())


def test_rights_are_looked_at_often_enough_for_two_seconds() -> None:
    """Between two looks; what else keeps the machine busy is no question of the code."""
    assert TICK_S <= 0.5


Ending = Callable[[Session, str], Any]


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (lambda session, grant: end_grant(session, grant, time.time()), "grant-ended"),
        (lambda session, _: disable_user(session, "ada", time.time()), "user-disabled"),
        (lambda session, _: remove_user(session, "ada"), "user-disabled"),
        (lambda session, _: revoke_appliance(session, "acme/line3/press1", time.time()), "appliance-removed"),
        (lambda session, _: remove_appliance(session, "acme/line3/press1"), "appliance-removed"),
        (lambda session, _: remove_device(session, "acme/line3/press1/plc"), "grant-ended"),
        (lambda session, _: remove_service(session, "acme/line3/press1/plc", "modbus"), "grant-ended"),
    ],
    ids=["grant", "user disabled", "user removed", "appliance revoked", "appliance removed", "device", "service"],
)
def test_session_ends_when_what_allowed_it_is_gone(tmp_path: Path, ending: Ending, code: str) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            grant = gm.grant()
            session = await open_session(user, appliance)
            gm.write(ending, grant)
            assert await session.is_cut()
            session.close()
            if code != "user-disabled":
                assert (await user.hear_kind(messages.EndSession)).code == code
            if code != "appliance-removed":
                assert (await appliance.hear_kind(messages.EndSession)).code == code
            await until(lambda: _history(gm)[0].end_code == code)

    asyncio.run(scenario())


@pytest.mark.parametrize("who", ["user", "appliance"])
def test_control_connection_is_closed_when_its_party_is_shut_out(tmp_path: Path, who: str) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            if who == "user":
                gm.write(disable_user, "ada", time.time())
            else:
                gm.write(revoke_appliance, "acme/line3/press1", time.time())
            party: User | Appliance = user if who == "user" else appliance
            refusal = await party.hear_kind(messages.Refusal)
            assert refusal.request_id is None
            with pytest.raises(LinkError):
                await party.hear()
            again = await party.log_in()
            assert isinstance(again, messages.Refusal)
            assert again.code == ("login" if who == "user" else "unknown-certificate")

    asyncio.run(scenario())


def test_session_ends_by_itself_when_its_grant_is_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.clock.hold()
            end = gm.clock() + 3600
            gm.grant(end=end)
            session = await open_session(user, appliance)
            assert session.opened.ends_at == end
            gm.clock.ahead_s = 3599
            await gm.server.supervisor.decide()
            await gm.server.store.changed()
            # From here on nothing but the time can make the supervisor decide again.
            assert gm.server.sessions.live.get(session.session_id) is not None
            gm.clock.ahead_s = 3601
            assert await session.is_cut()
            session.close()
            assert (await user.hear_kind(messages.EndSession)).code == "grant-ended"

    asyncio.run(scenario())


def test_both_ends_are_told_when_rights_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant(services=("modbus",))
            wide = gm.grant(end=gm.clock() + 3600)
            session = await open_session(user, appliance)
            gm.write(add_services, "acme/line3/press1/plc", (messages.Service("ping", "icmp"),))
            for party in (user, appliance):
                change = await party.hear_kind(messages.ChangeSession)
                assert [service.name for service in change.devices[0].services] == ["modbus", "ping"]
            gm.write(end_grant, wide, time.time())
            for party in (user, appliance):
                change = await party.hear_kind(messages.ChangeSession)
                assert [service.name for service in change.devices[0].services] == ["modbus"]
                assert change.ends_at is None
            session.close()

    asyncio.run(scenario())


def test_session_ends_when_rights_become_narrower_while_the_appliance_cannot_be_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.write(add_services, "acme/line3/press1/plc", (messages.Service("ping", "icmp"),))
            gm.grant()
            session = await open_session(user, appliance)
            appliance.close()
            await until(lambda: not list(gm.server.peers.appliances()))
            gm.write(remove_service, "acme/line3/press1/plc", "ping")
            assert await session.is_cut()
            session.close()
            assert (await user.hear_kind(messages.EndSession)).code == "rights-changed"

    asyncio.run(scenario())


def test_sessions_live_on_when_the_same_run_of_the_appliance_logs_in_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            session = await open_session(user, appliance)
            again = Appliance(gm, appliance.enrolment)
            assert isinstance(await again.log_in("run-1"), messages.Welcome)
            assert (await appliance.hear_kind(messages.Refusal)).code == "replaced"
            assert (await again.hear_kind(messages.ChangeSession)).session_id == session.session_id
            await asyncio.get_running_loop().sock_sendall(session.user_leg, b"x")
            assert await asyncio.get_running_loop().sock_recv(session.appliance_leg, 10) == b"x"
            third = Appliance(gm, appliance.enrolment)
            assert isinstance(await third.log_in("run-2"), messages.Welcome)
            assert await session.is_cut()
            assert (await user.hear_kind(messages.EndSession)).code == "appliance-restarted"
            session.close()
            again.close()
            third.close()

    asyncio.run(scenario())


def test_ticket_is_refused_when_it_is_used_again_or_not_ones_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            connected = await user.ask_for(appliance)
            opened = await appliance.hear_kind(messages.OpenSession)
            for party, ticket in ((appliance, connected.ticket), (user, opened.ticket), (user, bytes(32))):
                with pytest.raises(Refused) as refused:
                    await party.leg(ticket)
                assert refused.value.code == "ticket"
            legs = await asyncio.gather(user.leg(connected.ticket), appliance.leg(opened.ticket))
            with pytest.raises(Refused) as refused:
                await user.leg(connected.ticket)
            assert refused.value.code == "ticket"
            for leg in legs:
                leg.close()

    asyncio.run(scenario())


def test_ticket_is_refused_when_its_time_is_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            connected = await user.ask_for(appliance)
            gm.clock.ahead_s = TICKET_LIFETIME_S + 1
            with pytest.raises(Refused) as refused:
                await user.leg(connected.ticket)
            assert refused.value.code == "ticket"

    asyncio.run(scenario())


def test_session_ends_when_the_first_leg_goes_before_the_second_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            connected = await user.ask_for(appliance)
            await appliance.hear_kind(messages.OpenSession)
            leg = asyncio.create_task(user.leg(connected.ticket))
            await until(lambda: len(gm.server.sessions.tickets) == 1)
            leg.cancel()
            for party in (user, appliance):
                assert (await party.hear_kind(messages.EndSession)).code == "leg-lost"
            assert len(gm.server.sessions.tickets) == 0

    asyncio.run(scenario())


def test_user_is_told_when_the_appliance_refuses_the_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            connected = await user.ask_for(appliance)
            refusal = messages.SessionRefused(
                session_id=connected.session_id, code="locked", text="locked at the machine"
            )
            await appliance.say(refusal)
            end = await user.hear_kind(messages.EndSession)
            assert (end.code, end.reason) == ("locked", "locked at the machine")

    asyncio.run(scenario())


def test_user_is_told_at_once_when_the_appliance_is_gone_before_its_leg(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            connected = await user.ask_for(appliance)
            await appliance.hear_kind(messages.OpenSession)
            appliance.close()
            end = await user.hear_kind(messages.EndSession)
            assert (end.session_id, end.code) == (connected.session_id, "offline")

    asyncio.run(scenario())


def test_addresses_are_kept_when_a_session_is_resumed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            first = await open_session(user, appliance)
            second = await user.ask_for(appliance, resume_session_id=first.session_id)
            assert isinstance(second, messages.EndSession)
            assert (second.code, second.session_id) == ("resumed", first.session_id)
            connected = await user.hear_kind(messages.Connected)
            assert connected.tunnel == first.connected.tunnel
            assert connected.session_id != first.session_id
            first.close()

    asyncio.run(scenario())


def test_addresses_are_kept_when_the_answer_to_a_resumption_was_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            first = await open_session(user, appliance)
            await user.ask_for(appliance, resume_session_id=first.session_id)
            lost = await user.hear_kind(messages.Connected)
            await user.ask_for(appliance, resume_session_id=first.session_id)
            connected = await user.hear_kind(messages.Connected)
            assert connected.session_id != lost.session_id
            assert connected.tunnel == first.connected.tunnel
            assert gm.server.sessions.live.get(lost.session_id) is None
            first.close()

    asyncio.run(scenario())


def test_session_cannot_be_resumed_when_an_administrator_ended_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            session = await open_session(user, appliance)
            gm.server.sessions.end(session.session_id, ENDED_BY_ADMINISTRATOR, "enough")
            assert (await user.hear_kind(messages.EndSession)).code == ENDED_BY_ADMINISTRATOR
            answer = await user.ask_for(appliance, resume_session_id=session.session_id)
            assert isinstance(answer, messages.Refusal)
            assert (answer.code, answer.text) == (ENDED_BY_ADMINISTRATOR, "enough")
            assert isinstance(await user.ask_for(appliance), messages.Connected)
            session.close()

    asyncio.run(scenario())


def test_another_users_session_cannot_be_resumed_or_ended(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            from gm_server.accounts.users import add_user

            gm.write(add_user, "eve", "acme", 1.0)
            gm.grant()
            gm.grant("eve", target=Target(domain="acme"))
            session = await open_session(user, appliance)
            eve = User(gm, await gm.enrolled_user("eve"))
            await eve.log_in()
            connected = await eve.ask_for(appliance, resume_session_id=session.session_id)
            assert connected.tunnel != session.connected.tunnel
            await eve.say(messages.Disconnect(request_id=3, session_id=session.session_id))
            assert (await eve.hear_kind(messages.Refusal)).code == "unknown-session"
            await eve.say(messages.SessionEnded(session_id=session.session_id, reason="x"))
            await eve.say(messages.ListAppliances(request_id=4))
            await eve.hear_kind(messages.ApplianceList)
            assert gm.server.sessions.live.get(session.session_id) is not None
            session.close()
            eve.close()

    asyncio.run(scenario())


def test_user_has_so_many_sessions_and_no_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm", limits=Limits(sessions_per_user=2)) as (gm, appliance, user):
            gm.grant()
            for _ in range(2):
                assert isinstance(await user.ask_for(appliance), messages.Connected)
            assert (await user.ask_for(appliance)).code == "too-many"

    asyncio.run(scenario())


def test_tunnels_of_live_sessions_are_different(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm", tunnel_network="10.99.0.0/28") as (gm, appliance, user):
            gm.grant()
            tunnels = {(await user.ask_for(appliance)).tunnel.pc for _ in range(4)}
            assert tunnels == {"10.99.0.2", "10.99.0.6", "10.99.0.10", "10.99.0.14"}
            assert (await user.ask_for(appliance)).code == "busy"

    asyncio.run(scenario())


def test_nothing_is_begun_for_who_hung_up_with_his_request(tmp_path: Path) -> None:
    """A warning of Python's would say so, and warnings are errors here."""

    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, _, _user):
            [peer] = gm.server.peers.users()
            begun: list[int] = []

            async def note(_peer: object, request: messages.ListAppliances) -> None:
                begun.append(request.request_id)

            peer._answer(messages.ListAppliances(request_id=1), note)
            peer.channel.close("hung up")
            await until(lambda: not peer._requests)
            assert begun == []
            gc.collect()

    asyncio.run(scenario())


def test_requests_beyond_a_few_at_a_time_are_refused_and_none_is_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (_, _appliance, user):
            requests = (messages.ListAppliances(request_id=number) for number in range(50))
            data = b"".join(encode_frame(encode(request)) for request in requests)
            assert user.conversation is not None
            assert user.conversation.tls.send(data) == len(data)
            answers = [await user.hear() for _ in range(50)]
            assert sorted(answer.request_id for answer in answers) == list(range(50))
            refused = [answer.code for answer in answers if isinstance(answer, messages.Refusal)]
            assert refused == ["busy"] * (50 - MAX_REQUESTS)

    asyncio.run(scenario())

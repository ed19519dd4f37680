"""Grants with terms, and requests for access, through a whole GateManager: asked for, decided, ended by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.exceptions import InputError
from gm_server.access.actors import Actor, at_the_console
from gm_server.access.grants import Holder, Place, Terms, end_grant, make_grant
from gm_server.access.roles import load_actor
from gm_server.access.weeks import Weekly, Window, store_weekly
from gm_server.accounts.users import add_user, get_user
from gm_server.acts.paging import Paging
from gm_server.acts.requests import (
    MAX_WAITING,
    NewRequest,
    approve,
    deny,
    is_link_good,
    list_requests,
    make_request,
    withdraw,
)
from gm_server.appliances.devices import get_device
from gm_server.appliances.domains import get_domain
from gm_server.appliances.registry import get_appliance
from gm_server.database.tables import AuditEntry, Grant, Group, GroupMember, Outgoing, RoleRecord
from gm_server.exceptions import Conflict, Forbidden, NotFound
from inproc.gm_running import Appliance, RunningGm, User, connected_plant, open_session, until

PRESS = "acme/line3/press1"
Deed = Callable[[Session], Any]


def _grant(gm: RunningGm, terms: Terms, *, group: str | None = None) -> str:
    def make(session: Session) -> str:
        holder = Holder(group_id=group) if group else Holder(user_id=get_user(session, "ada").id)
        place = Place(appliance_id=get_appliance(session, PRESS).id)
        return make_grant(session, holder, place, terms, gm.clock()).id

    return gm.write(make)


def _group_with_ada(session: Session) -> None:
    session.add(Group(id="grp-1", domain_id=get_domain(session, "acme").id, name="service", created_at=1.0))
    session.flush()
    session.add(GroupMember(group_id="grp-1", user_id=get_user(session, "ada").id))


def _role(session: Session, role: str, domain: str = "acme", user: str = "ada") -> None:
    session.add(
        RoleRecord(
            id=f"rol-{user}",
            user_id=get_user(session, user).id,
            domain_id=get_domain(session, domain).id,
            role=role,
            created_at=1.0,
        )
    )


def _leave(session: Session) -> None:
    session.delete(session.get_one(GroupMember, ("grp-1", get_user(session, "ada").id)))


def _take_role(session: Session) -> None:
    session.delete(session.get_one(RoleRecord, "rol-ada"))


async def _is_over(gm: RunningGm, user: User, appliance: Appliance, deed: Deed) -> None:
    """A session that is open ends by a deed."""
    session = await open_session(user, appliance, reason="service")
    gm.write(deed)
    assert await session.is_cut()
    session.close()
    assert (await user.hear_kind(messages.EndSession)).code == "grant-ended"
    assert (await appliance.hear_kind(messages.EndSession)).code == "grant-ended"
    assert (await user.ask_for(appliance, reason="again")).code == "not-granted"


def test_session_ends_when_a_group_is_left_or_a_role_changes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.write(_group_with_ada)
            grant = _grant(gm, Terms(), group="grp-1")
            await _is_over(gm, user, appliance, _leave)
            gm.write(end_grant, grant, 1.0)
            _grant(gm, Terms())
            await _is_over(gm, user, appliance, lambda session: _role(session, "observer"))
            gm.write(_take_role)
            session = await open_session(user, appliance)
            session.close()

    asyncio.run(scenario())


def test_session_ends_when_its_weekly_window_closes_and_may_begin_again_when_it_opens(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            now = datetime.datetime.fromtimestamp(gm.clock(), datetime.UTC)
            begin = now - datetime.timedelta(minutes=30)
            closes = (now + datetime.timedelta(minutes=31)).replace(second=0, microsecond=0)
            window = Window(days=frozenset({begin.weekday()}), begin=f"{begin:%H:%M}", end=f"{closes:%H:%M}")
            _grant(gm, Terms(weekly=store_weekly(Weekly(zone="UTC", windows=(window,)))))
            session = await open_session(user, appliance)
            assert session.connected.ends_at == closes.timestamp()
            gm.clock.ahead_s = closes.timestamp() - gm.clock() + 1
            assert await session.is_cut()
            session.close()
            await user.hear_kind(messages.EndSession)
            await appliance.hear_kind(messages.EndSession)
            assert (await user.ask_for(appliance)).code == "not-granted"
            gm.clock.ahead_s += 7 * 86400 - 120
            again = await open_session(user, appliance)
            again.close()

    asyncio.run(scenario())


def test_damaged_windows_open_nothing_and_take_nobody_else_with_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            with pytest.raises(InputError, match="weekly windows cannot be read"):
                _grant(gm, Terms(weekly="nonsense"))
            grant_id = _grant(gm, Terms())
            gm.write(lambda session: setattr(session.get_one(Grant, grant_id), "weekly", "nonsense"))
            assert (await user.ask_for(appliance)).code == "not-granted"
            _grant(gm, Terms())
            session = await open_session(user, appliance)
            session.close()

    asyncio.run(scenario())


def test_reason_is_asked_for_and_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            _grant(gm, Terms(needs_reason=True))
            await user.say(messages.ListAppliances(request_id=1))
            [view] = (await user.hear_kind(messages.ApplianceList)).appliances
            assert view.needs_reason
            assert (await user.ask_for(appliance, reason="  ")).code == "needs-reason"
            session = await open_session(user, appliance, reason="bearing 3 is hot")
            assert session.opened.reason == "bearing 3 is hot"
            session.close()

            def recorded(session: Session) -> list[tuple[str, str, str]]:
                query = select(AuditEntry).where(AuditEntry.event.startswith("session.")).order_by(AuditEntry.number)
                return [
                    (row.event, row.result, msgspec.json.decode(row.details).get("reason", ""))
                    for row in session.scalars(query)
                ]

            # Behind them, sooner or later, comes its end.
            await until(lambda: len(gm.read(recorded)) >= 2)
            assert gm.read(recorded)[:2] == [
                ("session.refused", "refused", ""),
                ("session.opened", "done", "bearing 3 is hot"),
            ]

    asyncio.run(scenario())


class Office:
    """A plant in which ada may ask, eve and bob may approve; bob has no address, mallory is elsewhere."""

    def __init__(self, gm: RunningGm, appliance: Appliance, user: User) -> None:
        self.gm, self.appliance, self.user = gm, appliance, user
        self.appliance_id = appliance.enrolment.peer_id

    def act(self, name: str, deed: Callable[..., Any], *arguments: Any) -> Any:
        """Do it as somebody in the portal."""

        def work(session: Session) -> Any:
            by = load_actor(session, get_user(session, name).id, "portal", "192.0.2.1")
            assert by is not None
            return deed(session, by, *arguments)

        return self.gm.write(work)

    async def ask(self, **more: Any) -> str:
        """Ask for access over the LM's connection; return the request's id."""
        fields = {"appliance_id": self.appliance_id, "reason": "bearing", **more}
        await self.user.say(messages.RequestAccess(request_id=4, **fields))
        return (await self.user.hear_kind(messages.AccessRequested)).access_id

    def decide(self, deed: Callable[..., Any], request_id: str, text: str = "", by: str = "eve") -> Any:
        return self.act(by, deed, request_id, text, None, self.gm.clock())

    def letters(self) -> list[tuple[str, str, str]]:
        def read(session: Session) -> list[tuple[str, str, str]]:
            query = select(Outgoing).order_by(Outgoing.created_at)
            return [(letter.recipient, letter.subject, letter.body) for letter in session.scalars(query)]

        return self.gm.read(read)


@contextlib.asynccontextmanager
async def _office(path: Path) -> AsyncIterator[Office]:
    async with connected_plant(path) as (gm, appliance, user):

        def people(session: Session) -> None:
            for name, role, domain, email in (
                ("eve", "approver", "acme", "eve@example.com"),
                ("bob", "administrator", "acme/line3", ""),
                ("olga", "operator", "acme", "olga@example.com"),
                ("mallory", "administrator", "other", "mallory@example.com"),
            ):
                if domain == "other":
                    session.add(type(get_domain(session, "acme"))(id="dom-x", path="other", created_at=1.0))
                    session.flush()
                add_user(session, name, domain, 1.0).email = email
                _role(session, role, domain, name)
            get_user(session, "ada").email = "ada@example.com"

        gm.write(people)
        _grant(gm, Terms(needs_approval=True))
        yield Office(gm, appliance, user)


def test_approved_request_opens_access_that_ends_by_itself(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _office(tmp_path / "gm") as office:
            gm, user, appliance = office.gm, office.user, office.appliance
            await user.say(messages.ListAppliances(request_id=1))
            [view] = (await user.hear_kind(messages.ApplianceList)).appliances
            assert (view.devices, [device.name for device in view.requestable]) == ((), ["plc"])
            assert (await user.ask_for(appliance)).code == "not-granted"
            await user.say(messages.WatchTree(request_id=2))
            await user.hear_kind(messages.Done)
            asked_at = gm.clock()
            request = await office.ask(duration_s=3600.0)
            office.decide(approve, request, "until noon")
            # In either order, and of an earlier change it may be told, too.
            told: dict[type, Any] = {}
            while told.keys() != {messages.AccessDecided, messages.TreeChanged}:
                message = await user.hear()
                told[type(message)] = message
            decided = told[messages.AccessDecided]
            assert (decided.state, decided.text, decided.name) == ("approved", "until noon", "press1")
            assert asked_at + 3600 <= decided.valid_until <= gm.clock() + 3600
            session = await open_session(user, appliance)
            assert session.connected.ends_at == decided.valid_until

            def seen_by_eve() -> list[tuple[str, str, bool]]:
                views = office.act("eve", list_requests, Paging(), gm.clock())
                return [(item.state, item.decided_by, item.may_decide) for item in views.items]

            assert seen_by_eve() == [("approved", "eve", True)]
            gm.clock.ahead_s = 3601
            assert await session.is_cut()
            session.close()
            await until(lambda: seen_by_eve() == [("over", "eve", True)])

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["withdrawn", "denied", "grant ended"])
def test_session_by_approval_ends_when_anything_under_it_goes(tmp_path: Path, how: str) -> None:
    async def scenario() -> None:
        async with _office(tmp_path / "gm") as office:
            gm, user, appliance = office.gm, office.user, office.appliance
            request = await office.ask()
            office.decide(approve, request)
            assert (await user.hear_kind(messages.AccessDecided)).state == "approved"
            session = await open_session(user, appliance)
            if how == "withdrawn":
                office.act("ada", withdraw, request, gm.clock())
            elif how == "denied":
                office.decide(deny, request, "stop", "bob")
            else:

                def end_all(session: Session) -> None:
                    for grant in session.scalars(select(Grant).where(Grant.needs_approval)):
                        grant.revoked_at = 1.0

                gm.write(end_all)
            assert await session.is_cut()
            session.close()

    asyncio.run(scenario())


def test_only_approvers_of_the_domain_decide_and_nobody_about_himself(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _office(tmp_path / "gm") as office:
            gm = office.gm
            request = await office.ask()
            with pytest.raises(NotFound):
                office.decide(approve, request, by="mallory")
            with pytest.raises(Forbidden, match="roles"):
                office.decide(approve, request, by="olga")
            with pytest.raises(NotFound):
                office.decide(approve, request, by="ada")
            gm.write(_role, "administrator", "acme")
            with pytest.raises(Forbidden, match="his own"):
                office.decide(approve, request, by="ada")
            with pytest.raises(Forbidden, match="withdraws"):
                office.act("eve", withdraw, request, gm.clock())
            with pytest.raises(NotFound):
                office.act("mallory", withdraw, request, gm.clock())
            office.decide(deny, request)
            for deed in (approve, deny):
                with pytest.raises(Conflict, match="denied already, by eve"):
                    office.decide(deed, request, by="bob")
            assert office.act("mallory", list_requests, Paging(), gm.clock()).items == ()

    asyncio.run(scenario())


def test_only_what_a_grant_holds_ready_may_be_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _office(tmp_path / "gm") as office:
            user = office.user

            async def refused(**more: Any) -> str:
                fields = {"appliance_id": office.appliance_id, "reason": "x", **more}
                await user.say(messages.RequestAccess(request_id=5, **fields))
                refusal = await user.hear_kind(messages.Refusal)
                assert refusal.request_id == 5
                return refusal.text

            unknown = await refused(appliance_id="sm-0000000000000000")
            assert "there is no appliance that you may ask for" in unknown
            assert "no such device" in await refused(device_ids=("dev-0000000000000000",))
            assert "begin between" in await refused(valid_from=1.0)
            assert "say why" in await refused(reason="   ")
            await office.ask()
            assert "just this already" in await refused()

            def flood(session: Session, by: Actor) -> None:
                for number in range(MAX_WAITING - 1):
                    wanted = NewRequest(
                        appliance=office.appliance_id, reason="x", valid_from=office.gm.clock() + 60 + number
                    )
                    make_request(session, by, wanted, None, office.gm.clock())

            office.act("ada", flood)
            assert f"{MAX_WAITING} of your requests" in await refused(valid_from=office.gm.clock() + 9999)

    asyncio.run(scenario())


def test_approvers_get_a_letter_whose_link_is_theirs_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _office(tmp_path / "gm") as office:
            gm = office.gm
            request = await office.ask(reason="bearing 3")
            [(recipient, subject, body)] = [item for item in office.letters() if "asks" in item[1]]
            assert recipient == "eve@example.com"
            assert "ada asks for access to acme/line3/press1" in subject
            assert "bearing 3" in body
            link = next(line for line in body.splitlines() if line.startswith("https://"))
            parts = dict(part.split("=", 1) for part in link.partition("?")[2].split("&"))
            seals = gm.server.access._sender().seals
            now = gm.clock()
            assert is_link_good(seals, request, parts["by"], parts["token"], now)
            assert not is_link_good(seals, "req-other", parts["by"], parts["token"], now)
            assert not is_link_good(seals, request, "usr-other", parts["token"], now)
            # In the middle: of the last character some bits count for nothing.
            token = parts["token"]
            bent = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
            assert not is_link_good(seals, request, parts["by"], bent, now)
            assert not is_link_good(seals, request, parts["by"], "ü", now)
            assert not is_link_good(seals, request, parts["by"], parts["token"], now + 8 * 86400)

    asyncio.run(scenario())


def test_request_that_nobody_decides_is_over_one_day(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _office(tmp_path / "gm") as office:
            gm = office.gm
            request = await office.ask()
            gm.clock.ahead_s = 8 * 86400
            await gm.server.access.beat()
            with pytest.raises(Conflict, match="over already, by GateManager"):
                office.decide(approve, request)

    asyncio.run(scenario())


def test_request_is_a_persons(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _office(tmp_path / "gm") as office:
            wanted = NewRequest(appliance=office.appliance_id, reason="x")
            with pytest.raises(InputError, match="a person's"):
                office.gm.write(make_request, at_the_console("root"), wanted, None, 1.0)
            device = office.gm.read(lambda session: get_device(session, f"{PRESS}/plc").id)
            one = await office.ask(device_ids=(device,))
            office.decide(approve, one)
            assert (await office.user.hear_kind(messages.AccessDecided)).access_id == one

    asyncio.run(scenario())

"""What administrators do, act by act: who may, who sees what, what is recorded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gatelink.messages import LineSettings
from gm_server.access.actors import Actor, Permission
from gm_server.access.tokens import actor_of_token
from gm_server.acts import (
    appliances,
    certificates,
    claims,
    devices,
    domains,
    grants,
    groups,
    invitations,
    roles,
    sessions,
    tokens,
    users,
)
from gm_server.acts.appliances import ApplianceChange
from gm_server.acts.devices import DeviceChange, NewDevice, ServicePorts
from gm_server.acts.domains import DomainChange
from gm_server.acts.grants import GrantChange, NewGrant
from gm_server.acts.groups import GroupChange
from gm_server.acts.paging import Page, Paging
from gm_server.acts.tokens import NewToken
from gm_server.acts.users import NewUser, UserChange
from gm_server.appliances import devices as records
from gm_server.database.engine import Database
from gm_server.database.revisions import upgrade
from gm_server.database.tables import Appliance, AuditEntry, Device, User
from gm_server.exceptions import Conflict, Forbidden, NotFound
from inproc.gm_people import CONSOLE, NOW, SENDER, World, actor, people, settle

ALL = Paging(limit=500)
LISTS: dict[str, Callable[[Session, Actor], Page[Any]]] = {
    "domains": lambda session, by: domains.list_domains(session, by, ALL, NOW),
    "appliances": lambda session, by: appliances.list_appliances(session, by, ALL, NOW),
    "claims": lambda session, by: claims.list_claims(session, by, ALL, NOW),
    "devices": lambda session, by: devices.list_devices(session, by, ALL, NOW),
    "users": lambda session, by: users.list_users(session, by, ALL, NOW),
    "groups": lambda session, by: groups.list_groups(session, by, ALL, NOW),
    "roles": lambda session, by: roles.list_roles(session, by, ALL, NOW),
    "grants": lambda session, by: grants.list_grants(session, by, ALL, NOW),
    "sessions": lambda session, by: sessions.list_sessions(session, by, ALL, NOW),
    "invitations": lambda session, by: invitations.list_invitations(session, by, ALL, NOW),
    "tokens": lambda session, by: tokens.list_tokens(session, by, ALL, NOW),
    "certificates": lambda session, by: certificates.list_certificates(session, by, ALL, NOW),
}


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, World]]:
    path = tmp_path_factory.mktemp("acts") / "settled.sqlite3"
    database = Database(path, create=True)
    upgrade(database)
    with database.write() as session:
        worlds = settle(session)
    database.close()
    return path, worlds


@pytest.fixture
def worlds(settled: tuple[Path, dict[str, World]]) -> dict[str, World]:
    return settled[1]


@pytest.fixture
def db(settled: tuple[Path, dict[str, World]], tmp_path: Path) -> Iterator[Session]:
    """A writing transaction on a copy of both worlds."""
    shutil.copy(settled[0], tmp_path / "gm.sqlite3")
    database = Database(tmp_path / "gm.sqlite3")
    with database.write() as session:
        yield session
    database.close()


def _text(page: Page[Any]) -> str:
    return msgspec.json.encode(page).decode()


@pytest.mark.parametrize("listed", LISTS)
def test_lists_hold_nothing_of_the_other_world(db: Session, listed: str) -> None:
    for world, outside in (("tundra", "zenith"), ("zenith", "tundra")):
        for role in ("administrator", "operator", "approver", "observer"):
            page = LISTS[listed](db, actor(db, f"{world}-{role}"))
            assert outside not in _text(page), (listed, role)
            assert listed in ("tokens", "certificates") or page.items, (listed, role)
    assert not LISTS[listed](db, actor(db, "plain")).items or listed == "users"
    everything = _text(LISTS[listed](db, CONSOLE))
    assert listed in ("tokens", "certificates") or ("tundra" in everything and "zenith" in everything)


def test_holder_of_a_grant_sees_what_it_is_for_and_no_more(db: Session, worlds: dict[str, World]) -> None:
    by = actor(db, "holder")
    [appliance] = appliances.list_appliances(db, by, ALL, NOW).items
    assert (appliance.path, appliance.limited, appliance.note) == ("tundra/line3/press1", True, "")
    [device] = devices.list_devices(db, by, ALL, NOW).items
    assert [service.name for service in device.services] == ["modbus"]
    assert device.note == ""
    assert devices.get_device(db, by, device.id, NOW) == device
    assert [grant.target for grant in grants.list_grants(db, by, ALL, NOW).items] == ["tundra/line3/press1/plc"]
    assert domains.list_domains(db, by, ALL, NOW).items == ()
    with pytest.raises(NotFound):
        appliances.get_appliance(db, by, worlds["zenith"].appliance, NOW)
    with pytest.raises(NotFound):
        devices.change_device(db, by, device.id, DeviceChange(note="mine"), NOW)
    devices.add_device(db, CONSOLE, worlds["tundra"].appliance, NewDevice(name="hmi", address="192.168.1.11"), NOW)
    assert len(devices.list_devices(db, by, ALL, NOW).items) == 1
    [grant] = grants.list_grants(db, by, ALL, NOW).items
    grants.end_grant(db, CONSOLE, grant.id, NOW)
    assert not appliances.list_appliances(db, by, ALL, NOW).items
    assert not devices.list_devices(db, by, ALL, NOW).items


def test_line_settings_are_kept_as_they_are_sent_and_belong_to_serial_ports_alone(
    db: Session, worlds: dict[str, World]
) -> None:
    appliance = worlds["tundra"].appliance
    new = NewDevice(name="drive", serial_port="usb-1", serial_settings="19200 8e1")
    drive = devices.add_device(db, CONSOLE, appliance, new, NOW)
    assert drive.serial_settings == "19200,8,E,1"
    [access] = [found for found in records.list_devices(db, appliance) if found.device_id == drive.id]
    assert access.line == LineSettings(19200, 8, "E", 1)
    with pytest.raises(InputError, match="like 19200,8,E,1"):
        devices.change_device(db, CONSOLE, drive.id, DeviceChange(serial_settings="fast"), NOW)
    changed = devices.change_device(db, CONSOLE, drive.id, DeviceChange(note="in the cabinet"), NOW)
    assert changed.serial_settings == "19200,8,E,1"
    moved = DeviceChange(serial_port=None, address="192.168.1.77")
    assert devices.change_device(db, CONSOLE, drive.id, moved, NOW).serial_settings == ""
    with pytest.raises(InputError, match="only a serial port has line settings"):
        devices.change_device(db, CONSOLE, drive.id, DeviceChange(serial_settings="19200,8,E,1"), NOW)


def _deeds(world: World) -> dict[str, Callable[[Session, Actor], Any]]:
    """Every act that changes something, on one world."""
    ports = (ServicePorts("ssh", "tcp", 22),)
    return {
        "domain added": lambda s, by: domains.add_domain(s, by, f"{_path(s, world)}/new", NOW),
        "domain changed": lambda s, by: domains.change_domain(
            s, by, world.inner, DomainChange(login_method="password"), NOW
        ),
        "domain removed": lambda s, by: domains.remove_domain(s, by, world.inner, NOW),
        "appliance added": lambda s, by: appliances.add_appliance(s, by, world.inner, "new", NOW),
        "appliance changed": lambda s, by: appliances.change_appliance(
            s, by, world.appliance, ApplianceChange(note="new"), NOW
        ),
        "appliance revoked": lambda s, by: appliances.revoke_appliance(s, by, world.appliance, NOW),
        "appliance removed": lambda s, by: appliances.remove_appliance(s, by, world.appliance, NOW),
        "claim made": lambda s, by: claims.create_claim(s, by, world.appliance, SENDER, 1, NOW),
        "claim revoked": lambda s, by: claims.revoke_claim(s, by, world.claim, NOW),
        "device added": lambda s, by: devices.add_device(
            s, by, world.appliance, NewDevice(name="new", address="10.0.0.9"), NOW
        ),
        "device changed": lambda s, by: devices.change_device(s, by, world.device, DeviceChange(services=ports), NOW),
        "service removed": lambda s, by: devices.remove_service(s, by, world.device, "vnc", NOW),
        "device removed": lambda s, by: devices.remove_device(s, by, world.device, NOW),
        "user added": lambda s, by: users.add_user(s, by, NewUser(name="new", domain=world.domain), NOW),
        "user changed": lambda s, by: users.change_user(s, by, world.user, UserChange(full_name="New"), NOW),
        "user disabled": lambda s, by: users.disable_user(s, by, world.user, NOW),
        "user removed": lambda s, by: users.remove_user(s, by, world.user, NOW),
        "user invited": lambda s, by: invitations.invite(s, by, world.user, SENDER, 1, NOW),
        "invitation revoked": lambda s, by: invitations.revoke_invitation(s, by, world.invitation, NOW),
        "group added": lambda s, by: groups.add_group(s, by, world.domain, "new", NOW),
        "group changed": lambda s, by: groups.change_group(s, by, world.group, GroupChange(name="new"), NOW),
        "member added": lambda s, by: groups.add_member(s, by, world.group, _name(s, world, "operator"), NOW),
        "member removed": lambda s, by: groups.remove_member(s, by, world.group, world.user, NOW),
        "group removed": lambda s, by: groups.remove_group(s, by, world.group, NOW),
        "role given": lambda s, by: roles.give_role(s, by, "observer", NOW, user=world.user, domain=world.domain),
        "role taken": lambda s, by: roles.take_role(s, by, world.role, NOW),
        "grant added": lambda s, by: grants.add_grant(s, by, NewGrant(user=world.user, domain=world.domain), NOW),
        "grant changed": lambda s, by: grants.change_grant(s, by, world.grant, GrantChange(needs_reason=True), NOW),
        "grant ended": lambda s, by: grants.end_grant(s, by, world.grant, NOW),
        "session ended": lambda s, by: sessions.end_session(s, by, world.live_session, NOW),
    }


def _path(session: Session, world: World) -> str:
    return domains.get_domain(session, CONSOLE, world.domain).path


def _name(session: Session, world: World, role: str) -> str:
    return f"{_path(session, world)}-{role}"


DEEDS = tuple(_deeds(World(*"abcdefghijkl")))


@pytest.mark.parametrize("deed", DEEDS)
def test_only_administrators_of_the_place_change_it_and_the_log_says_so(
    db: Session, worlds: dict[str, World], deed: str
) -> None:
    act = _deeds(worlds["tundra"])[deed]
    if deed == "domain removed":
        act = lambda s, by: domains.remove_domain(s, by, "tundra/spare", NOW)  # noqa: E731
        domains.add_domain(db, CONSOLE, "tundra/spare", NOW)
    before = db.scalar(select(func.count()).select_from(AuditEntry))
    for name in people():
        if name in ("boss", "tundra-administrator"):
            continue
        inside = name.startswith("tundra-")
        with pytest.raises(Forbidden if inside else NotFound) as refused:
            act(db, actor(db, name))
        if not inside:
            assert "zenith" not in str(refused.value)
    db.flush()
    assert db.scalar(select(func.count()).select_from(AuditEntry)) == before
    by = actor(db, "tundra-administrator")
    act(db, by)
    [entry] = db.scalars(select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1))
    assert (entry.number, entry.actor_name, entry.via) == ((before or 0) + 1, "tundra-administrator", "portal")
    assert entry.domain.startswith("tundra"), entry.domain
    token_by = msgspec.structs.replace(by, scopes=frozenset({Permission.SEE}))
    with pytest.raises((Forbidden, NotFound)):
        _deeds(worlds["tundra"])["grant ended"](db, token_by)


def test_unknown_and_unseen_are_told_in_the_same_words(db: Session, worlds: dict[str, World]) -> None:
    by = actor(db, "tundra-administrator")
    for find, known in (
        (appliances.get_appliance, worlds["zenith"].appliance),
        (devices.get_device, worlds["zenith"].device),
        (users.get_user, worlds["zenith"].user),
        (grants.get_grant, worlds["zenith"].grant),
        (sessions.get_session, worlds["zenith"].session),
    ):
        texts = []
        for reference in (known, known[:-1] + "x"):
            with pytest.raises(NotFound) as missing:
                find(db, by, reference, NOW)
            texts.append(str(missing.value).replace(reference, "REFERENCE"))
        assert texts[0] == texts[1], find


def test_nobody_gives_more_than_he_has(db: Session, worlds: dict[str, World]) -> None:
    by = actor(db, "tundra-administrator")
    for options in ({"domain": None}, {"domain": worlds["zenith"].domain}):
        with pytest.raises((Forbidden, NotFound)):
            roles.give_role(db, by, "observer", NOW, user="tundra-worker", **options)
    # A server administrator who belongs to tundra is not tundra's administrator's to take over.
    roles.give_role(db, CONSOLE, "administrator", NOW, user="tundra-operator")
    for takeover in (
        lambda: invitations.invite(db, by, "tundra-operator", SENDER, 1, NOW),
        lambda: users.change_user(db, by, "tundra-operator", UserChange(email="me@evil.test"), NOW),
        lambda: users.disable_user(db, by, "tundra-operator", NOW),
        lambda: users.remove_user(db, by, "tundra-operator", NOW),
    ):
        with pytest.raises(Forbidden):
            takeover()
    # Nor is a group that passes on more than he has.
    roles.give_role(db, CONSOLE, "administrator", NOW, group="tundra/technicians", domain="zenith")
    with pytest.raises(Forbidden):
        groups.add_member(db, by, "tundra/technicians", "tundra-administrator", NOW)
    with pytest.raises(Forbidden):
        roles.give_role(
            db, msgspec.structs.replace(by, scopes=frozenset({Permission.SEE, Permission.CHANGE})),
            "approver", NOW, user="tundra-worker", domain="tundra",
        )  # fmt: skip


def test_last_server_administrator_stays(db: Session) -> None:
    boss = actor(db, "boss")
    [role] = [role for role in roles.list_roles(db, CONSOLE, ALL, NOW).items if role.domain is None]
    for removal in (
        lambda: roles.take_role(db, boss, role.id, NOW),
        lambda: users.disable_user(db, boss, "boss", NOW),
        lambda: users.remove_user(db, CONSOLE, "boss", NOW),
    ):
        with pytest.raises(Conflict, match="nobody would be left"), db.begin_nested():
            removal()
    groups.add_group(db, CONSOLE, "zenith", "chiefs", NOW)
    groups.add_member(db, CONSOLE, "zenith/chiefs", "plain", NOW)
    roles.give_role(db, CONSOLE, "administrator", NOW, group="zenith/chiefs")
    roles.take_role(db, boss, role.id, NOW)
    with pytest.raises(Conflict), db.begin_nested():
        groups.remove_member(db, CONSOLE, "zenith/chiefs", "plain", NOW)
    with pytest.raises(Conflict), db.begin_nested():
        groups.remove_group(db, CONSOLE, "zenith/chiefs", NOW)
    assert actor(db, "plain").may(Permission.CHANGE, None)


def test_tokens_act_within_their_scopes_until_they_are_over(db: Session) -> None:
    by = actor(db, "tundra-administrator")
    made = tokens.make_token(db, by, NewToken(name="ci", scopes=("read",), days=1), NOW)
    found = actor_of_token(db, made.secret, "192.0.2.7", NOW)
    assert found is not None
    reader, token_id = found
    assert token_id == made.id
    assert appliances.list_appliances(db, reader, ALL, NOW).items
    with pytest.raises(Forbidden):
        domains.add_domain(db, reader, "tundra/new", NOW)
    with pytest.raises(Forbidden):
        tokens.make_token(db, reader, NewToken(name="child"), NOW)
    assert actor_of_token(db, made.secret + "x", "192.0.2.7", NOW) is None
    assert actor_of_token(db, made.secret, "192.0.2.7", NOW + 86401) is None
    assert made.secret not in _text(tokens.list_tokens(db, by, ALL, NOW))
    users.disable_user(db, CONSOLE, "tundra-administrator", NOW)
    assert actor_of_token(db, made.secret, "192.0.2.7", NOW) is None
    users.enable_user(db, CONSOLE, "tundra-administrator", NOW)
    tokens.revoke_token(db, actor(db, "tundra-administrator"), made.id, NOW)
    assert actor_of_token(db, made.secret, "192.0.2.7", NOW) is None


def test_pages_meet_every_row_once_and_ask_as_much_for_few_as_for_many(db: Session, worlds: dict[str, World]) -> None:
    inner = worlds["tundra"].inner
    db.add_all(
        Appliance(id=f"sm-{n:05}", domain_id=inner, name=f"unit {n:05}", state="expected", created_at=NOW)
        for n in range(10_000)
    )
    db.add_all(
        Device(id=f"dev-{n}", appliance_id=f"sm-{n:05}", name="plc", address="10.0.0.1", virtual_number=1000 + n)
        for n in range(10_000)
    )
    db.add_all(User(id=f"usr-{n:04}", domain_id=inner, name=f"person {n:04}", created_at=NOW) for n in range(1000))
    db.flush()
    by = actor(db, "tundra-observer")
    asked: list[str] = []
    event.listen(db.get_bind(), "before_cursor_execute", lambda *args: asked.append(args[2]))
    for listed, expected in (
        (appliances.list_appliances, 10_001),
        (devices.list_devices, 10_001),
        (users.list_users, 1005),
    ):
        counts = set()
        for limit in (3, 500):
            asked.clear()
            page = listed(db, by, Paging(limit=limit), NOW)
            counts.add(len(asked))
            assert (page.total, len(page.items)) == (expected, limit)
        assert counts == {len(asked)}, (listed, counts)
        assert len(asked) <= 8
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = listed(db, by, Paging(cursor=cursor, limit=499), NOW)
            seen += [item.id for item in page.items]
            cursor = page.next
        assert len(seen) == len(set(seen)) == expected
    [found] = appliances.list_appliances(db, by, Paging(search="LINE3 00042"), NOW).items
    assert found.name == "unit 00042"
    for cursor in ("nonsense", "AAAA", "kqFhAQ", "gaFh"):
        with pytest.raises(InputError, match="cursor"):
            appliances.list_appliances(db, by, Paging(cursor=cursor), NOW)

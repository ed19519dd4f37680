"""A server with two worlds that must not see each other, and people of every kind in both.

``tundra/line3`` has press1 with a plc, ``zenith/hall`` has palletiser with an arm. In each there is somebody with every
role; ``boss`` administers the whole server, ``plain`` has no role and nothing granted, ``holder`` (of zenith, without a
role) has a grant for one service of tundra's plc.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, RoleName, at_the_console
from gm_server.access.roles import load_actor
from gm_server.accounts.passwords import hash_password
from gm_server.acts import claims, devices, domains, grants, groups, invitations, roles, users
from gm_server.acts.appliances import add_appliance
from gm_server.acts.devices import NewDevice, ServicePorts
from gm_server.acts.grants import NewGrant
from gm_server.acts.users import NewUser
from gm_server.database.tables import SessionRecord, User
from gm_server.enrolment.claims import Sender

NOW: Final = 1_750_000_000.0
ROLES: Final[tuple[RoleName, ...]] = ("administrator", "operator", "approver", "observer")
WORLDS: Final = {
    "tundra": ("tundra/line3", "press1", "plc", "modbus"),
    "zenith": ("zenith/hall", "palletiser", "arm", "s7"),
}
SENDER: Final = Sender(("gm.example",), None)
_PASSWORD_HASH: Final = hash_password("correct horse battery")
CONSOLE: Final = at_the_console("root")


class World(msgspec.Struct, frozen=True):
    """Ids of what one domain holds."""

    domain: str
    inner: str
    appliance: str
    device: str
    user: str
    group: str
    role: str
    grant: str
    claim: str
    invitation: str
    session: str
    live_session: str


def people() -> tuple[str, ...]:
    """Names of everybody."""
    return ("boss", "plain", "holder", *(f"{world}-{role}" for world in WORLDS for role in ROLES))


def settle(session: Session, now: float = NOW) -> dict[str, World]:
    """Make both worlds; return what is in them."""
    by = CONSOLE
    worlds: dict[str, World] = {}
    for name, (inner, appliance, device, service) in WORLDS.items():
        domain = domains.add_domain(session, by, name, now)
        below = domains.add_domain(session, by, inner, now)
        unit = add_appliance(session, by, inner, appliance, now, note=f"secret note of {name}")
        ports = (ServicePorts(service, "tcp", 102, 102), ServicePorts("vnc", "tcp", 5900, 5900))
        new = NewDevice(name=device, address="192.168.1.10", services=ports, note=f"secret note of {name}")
        plc = devices.add_device(session, by, unit.id, new, now)
        for role in ROLES:
            person = users.add_user(session, by, NewUser(name=f"{name}-{role}", domain=name), now)
            roles.give_role(session, by, role, now, user=person.id, domain=domain.id)
        worker = users.add_user(session, by, NewUser(name=f"{name}-worker", domain=name, email=f"w@{name}.test"), now)
        group = groups.add_group(session, by, name, "technicians", now)
        groups.add_member(session, by, group.id, worker.id, now)
        role_id = roles.give_role(session, by, "observer", now, group=group.id, domain=below.id).id
        grant = grants.add_grant(session, by, NewGrant(user=worker.id, appliance=unit.id), now)
        claim = claims.create_claim(session, by, unit.id, SENDER, 7, now)
        invitation = invitations.invite(session, by, worker.id, SENDER, 7, now)
        sessions = []
        for state in ("over", "live"):
            record = SessionRecord(
                id=f"ses-{name}-{state}",
                user_id=worker.id,
                user_name=worker.name,
                appliance_id=unit.id,
                appliance_path=unit.path,
                devices=device,
                address="203.0.113.9",
                reason=f"work at {name}",
                tunnel_pc="198.18.0.2",
                requested_at=now - 100,
                ended_at=now - 50 if state == "over" else None,
            )
            session.add(record)
            sessions.append(record.id)
        session.flush()
        worlds[name] = World(
            domain.id, below.id, unit.id, plc.id, worker.id, group.id, role_id, grant.id, claim.id, invitation.id,
            sessions[0], sessions[1],
        )  # fmt: skip
    boss = users.add_user(session, by, NewUser(name="boss", domain="zenith"), now)
    roles.give_role(session, by, "administrator", now, user=boss.id)
    users.add_user(session, by, NewUser(name="plain", domain="zenith"), now)
    holder = users.add_user(session, by, NewUser(name="holder", domain="zenith"), now)
    grants.add_grant(session, by, NewGrant(user=holder.id, device=worlds["tundra"].device, services=("modbus",)), now)
    session.execute(update(User).values(password_hash=_PASSWORD_HASH))
    session.flush()
    return worlds


def actor(session: Session, name: str) -> Actor:
    """Return somebody as an actor at the portal."""
    user_id = session.scalar(select(User.id).where(User.name == name))
    assert user_id is not None, name
    found = load_actor(session, user_id, "portal", "192.0.2.1")
    assert found is not None
    return found

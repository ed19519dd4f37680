"""Every page of the portal, light and dark, on a desktop and on a phone: nothing is seriously wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext
from sqlalchemy import select
from sqlalchemy.orm import Session

from browser.axe import serious
from browser.gm_plant import HOUR_S, Plant, furnish, running_plant
from gm_server.access.actors import at_the_console
from gm_server.access.roles import load_actor
from gm_server.access.weeks import Weekly, parse_window
from gm_server.accounts.seals import Seals
from gm_server.accounts.users import get_user
from gm_server.acts.grants import NewGrant, add_grant
from gm_server.acts.groups import add_group, add_member
from gm_server.acts.invitations import invite
from gm_server.acts.relays import NewRelay, add_relay
from gm_server.acts.requests import NewRequest, make_link, make_request
from gm_server.acts.requests import Sender as Letters
from gm_server.appliances.rollouts import Terms, add_rollout
from gm_server.database.tables import (
    AccessRequest,
    Appliance,
    AuditEntry,
    Claim,
    Device,
    Domain,
    FirmwareBundle,
    FirmwareRollout,
    FirmwareTarget,
    Grant,
    Group,
    Relay,
    RoleRecord,
    SessionRecord,
    User,
    WaitingAppliance,
)
from gm_server.enrolment.claims import Sender
from gm_server.ids import new_id
from inproc.gm_walk_table import PORTAL

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
PAGES = (
    "/",
    "/appliances",
    "/appliances?state=offline",
    "/appliances/add",
    "/appliances/waiting",
    "/appliances/{appliance}",
    "/appliances/{appliance}?period=week",
    "/appliances/{appliance}/edit",
    "/appliances/{appliance}/claim",
    "/appliances/{appliance}/revoke",
    "/appliances/{appliance}/remove",
    "/appliances/{appliance}/scan",
    "/appliances/{appliance}/devices/add",
    "/appliances/waiting/{waiting}/turn-away",
    "/devices",
    "/devices/{device}",
    "/devices/{device}/edit",
    "/devices/{device}/remove",
    "/domains",
    "/domains/add",
    "/domains/{domain}",
    "/domains/{domain}/edit",
    "/domains/{domain}/remove",
    "/firmware",
    "/firmware/{bundle}/remove",
    "/firmware/{bundle}/roll-out",
    "/rollouts/{rollout}",
    "/rollouts/{rollout}/stop",
    "/users",
    "/users/add",
    "/users/{user}",
    "/users/{user}/edit",
    "/users/{user}/disable",
    "/users/{user}/remove",
    "/invitations/{invitation}/revoke",
    "/users/{user}/certificates/none/revoke",
    "/groups",
    "/groups/add",
    "/groups/{group}",
    "/groups/{group}/edit",
    "/groups/{group}/remove",
    "/roles/add",
    "/roles/{role}/take",
    "/grants",
    "/grants/add?target=device:acme/bottling/filler 1/PLC",
    "/grants/{grant}",
    "/grants/{grant}/edit",
    "/grants/{grant}/end",
    "/relays",
    "/relays/add",
    "/relays/{relay}",
    "/relays/{relay}/edit",
    "/relays/{relay}/remove",
    "/requests",
    "/requests/add",
    "/requests/{request}",
    "/sessions",
    "/sessions/end",
    "/sessions/{session}",
    "/alarms",
    "/audit",
    "/audit/{entry}",
    "/settings",
    "/settings/certificate",
    "/settings/mail",
    "/settings/sms",
    "/settings/sms?add=smpp",
    "/settings/sms?add=modem",
    "/settings/alarms",
    "/settings/backup",
    "/account",
    "/account/password",
    "/account/app",
    "/account/recovery-codes",
    "/account/certificate",
    "/account/tokens",
    "/account/link-manager",
    "/no-such-page",
)
"""In what stands in braces, the id of one."""
STRANGERS = ("/about", "/sign-in", "/reset", "/invitation")
"""Pages of who is not signed in."""
NO_PAGES = frozenset(
    {
        "/sessions/{id}/end",
        # Come to step by step: ``test_portal_account`` and ``test_portal_tasks`` look at them there.
        "/account/passkey",
        "/sign-in/code",
        "/reset/{word}",
        # For programs.
        "/healthz",
        "/readyz",
        "/metrics",
        "/static/{name:path}",
    }
)
"""What asks only while something runs, what is looked at elsewhere, and what is no page."""


STATES = (
    "fetching",
    "good",
    "waiting",
    "offered",
    "installing",
    "restarting",
    "refused",
    "failed",
    "fell-back",
    "pending",
)
_INVITATION = select(Claim.id).where(Claim.user_id.is_not(None))
_OVERFLOWS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
_WIDEST = """() => [...document.querySelectorAll("main *")].filter(
    one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 120))[0]"""


def _furnish(session: Session, now: float) -> None:
    furnish(session, now)
    by = at_the_console("test")
    group = add_group(session, by, "acme", "technicians", now)
    add_member(session, by, group.id, "grace", now)
    add_grant(
        session,
        by,
        NewGrant(
            group=group.id,
            domain="acme",
            services=("s7", "vnc"),
            weekly=Weekly(zone="Europe/Berlin", windows=(parse_window("mon-fri 07:00-18:00"),)),
            needs_reason=True,
            reason="maintenance contract",
        ),
        now,
    )
    add_grant(session, by, NewGrant(user="olivia", appliance="acme/bottling/filler 1", needs_approval=True), now)
    invite(session, by, "olivia", Sender(("gm.example.com",), None), 7, now)
    olivia = session.scalars(select(User).where(User.name == "olivia")).one()
    actor = load_actor(session, olivia.id, "portal", "127.0.0.1")
    assert actor is not None
    filler = session.scalars(select(Appliance).where(Appliance.name == "filler 1")).one()
    make_request(session, actor, NewRequest(appliance=filler.id, reason="the fill level drifts"), None, now)
    _furnish_firmware(session, filler, now)
    recorder = NewRelay(
        name="historian", direction="pull", device="acme/bottling/filler 1/PLC", user="olivia", port=15102, service="s7"
    )
    add_relay(session, by, recorder, now)
    session.add(
        WaitingAppliance(
            id=new_id("wai"),
            key_sha256=bytes(32),
            software="sm 1.0",
            address="203.0.113.9",
            first_seen_at=now - 60,
            last_seen_at=now,
            appliance_id=None,
        )
    )
    session.add(
        SessionRecord(
            id=new_id("ses"),
            user_id=olivia.id,
            user_name="olivia",
            appliance_id=filler.id,
            appliance_path="acme/bottling/filler 1",
            devices="PLC, HMI",
            address="198.51.100.7",
            reason="new recipe",
            tunnel_pc="198.18.0.2",
            requested_at=now - 2 * HOUR_S,
            joined_at=now - 2 * HOUR_S,
            ended_at=now - HOUR_S,
            end_code="user",
            end_reason="the user ended the session",
            bytes_from_user=1_234_567,
            bytes_from_appliance=98_765_432,
        )
    )


def _furnish_firmware(session: Session, filler: Appliance, now: float) -> None:
    """A bundle whose file is missing, and its roll-out, which was stopped, with an appliance in every state."""
    bundle = FirmwareBundle(
        id=new_id("bnd"),
        version="2.1.0",
        board="gatelink-raspberrypi4-64",
        size_bytes=87_654_321,
        sha256=bytes(32),
        created_at=now - 3 * HOUR_S,
    )
    session.add(bundle)
    session.flush()
    terms = Terms(wave_size=5, stop_after_failures=2, allow_older=True, during_sessions=False)
    units = [
        filler.id,
        *session.scalars(select(Appliance.id).where(Appliance.id != filler.id).order_by(Appliance.name)),
    ]
    domain_id = session.scalars(select(Domain.id).where(Domain.path == "acme")).one()
    rollout = add_rollout(session, bundle.id, domain_id, units, terms, "ada", now - 2 * HOUR_S)
    rollout.state, rollout.text = "stopped", "stopped by itself after 3 failed"
    targets = session.scalars(select(FirmwareTarget).order_by(FirmwareTarget.position)).all()
    for target, state in zip(targets, STATES, strict=False):
        target.state, target.percent, target.text = state, 40, "a reason that the gateway gave"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with running_plant(tmp_path_factory.mktemp("portal") / "gm", _furnish) as plant:
        plant.give_role("ada", "administrator")
        plant.give_role("grace", "observer", "acme")
        plant.connect_appliance("acme/bottling/filler 1")
        yield plant


@pytest.fixture(scope="module")
def ids(plant: Plant) -> dict[str, str]:
    def look(session: Session) -> dict[str, str]:
        def one(column: object, *conditions: object) -> str:
            return str(session.execute(select(column).where(*conditions).limit(1)).scalar_one())  # type: ignore[call-overload]

        return {
            "appliance": one(Appliance.id, Appliance.name == "filler 1"),
            "device": one(Device.id, Device.name == "PLC"),
            "domain": one(Domain.id, Domain.path == "acme"),
            "user": one(User.id, User.name == "olivia"),
            "group": one(Group.id),
            "role": one(RoleRecord.id),
            "grant": one(Grant.id, Grant.group_id.is_not(None)),
            "request": one(AccessRequest.id),
            "session": one(SessionRecord.id),
            "waiting": one(WaitingAppliance.id),
            "entry": one(AuditEntry.number),
            "bundle": one(FirmwareBundle.id),
            "rollout": one(FirmwareRollout.id),
            "relay": one(Relay.id),
            "invitation": str(session.execute(_INVITATION).scalar_one()),
        }

    return plant.gm.read(look)


@pytest.fixture(scope="module")
def context(plant: Plant, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(ignore_https_errors=True, viewport=DESKTOP, reduced_motion="reduce")  # type: ignore[arg-type]
    context.add_cookies([plant.sign_in("ada")])  # type: ignore[list-item]
    yield context
    context.close()


@pytest.mark.parametrize("address", PAGES)
def test_page_is_whole_when_it_is_looked_at_everywhere(
    plant: Plant, context: BrowserContext, ids: dict[str, str], address: str
) -> None:
    status = 404 if address == "/no-such-page" else 200
    found = _problems(plant, context, address.format(**ids), status)
    assert [problem for problem in found if not (status == 404 and "404" in problem)] == []


def test_pages_are_whole_when_a_stranger_looks_at_them(plant: Plant, browser: Browser, ids: dict[str, str]) -> None:
    letters = Letters("test", plant.url, Seals.of_authority(plant.gm.directory.user_authority()))
    approver = plant.gm.read(lambda session: get_user(session, "ada").id)
    link = make_link(letters, ids["request"], approver, plant.gm.clock()).removeprefix(plant.url)
    addresses = (*STRANGERS, link)
    context = browser.new_context(ignore_https_errors=True, viewport=DESKTOP, reduced_motion="reduce")  # type: ignore[arg-type]
    try:
        found = {address: _problems(plant, context, address, 200) for address in addresses}
        assert [problem for problems in found.values() for problem in problems] == [], found
    finally:
        context.close()


def _problems(plant: Plant, context: BrowserContext, address: str, status: int) -> list[str]:
    """Open a page on a desktop, in the dark and on a phone; return what is wrong with it."""
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if not request.url.startswith(plant.url) else None)
    answer = page.goto(plant.url + address)
    assert answer is not None
    assert answer.status == status
    problems += [f"light: {found}" for found in serious(page)]
    page.emulate_media(color_scheme="dark")
    problems += [f"dark: {found}" for found in serious(page, colours_only=True)]
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    problems += [f"phone: {found}" for found in serious(page)]
    problems += [f"too wide: {page.evaluate(_WIDEST)}"] if page.evaluate(_OVERFLOWS) else []
    page.close()
    return problems


def test_every_page_that_there_is_is_looked_at_here() -> None:
    looked_at = {re.sub(r"{[a-z]+}|(?<=certificates/)none", "{}", page.partition("?")[0]) for page in PAGES + STRANGERS}
    # The walk fails where a route is not in its table: no page is in neither.
    there_are = {
        re.sub(r"{[a-z:]+}", "{}", row.address) for row in PORTAL if row.method == "GET" and row.address not in NO_PAGES
    }
    # This one is opened by a link alone, which the stranger above has.
    assert there_are - looked_at == {"/requests/{}/decide"}

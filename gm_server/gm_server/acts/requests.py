"""Requests for access: made by who needs an approval, decided by an approver, ended by themselves.

Nobody decides about his own request. An approval is a grant of its own that ends when it was asked for; it opens only
what a grant of the requester holds ready (``access.rights``), so that it ends with that grant, too.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import SYSTEM, Actor, Permission
from gm_server.access.facts import load_facts
from gm_server.access.grants import Holder, Place, Terms, make_grant
from gm_server.accounts.seals import Seals
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import AccessRequest, Appliance, Device, Domain, Grant, User
from gm_server.exceptions import Conflict, Forbidden, NotFound
from gm_server.ids import new_id
from gm_server.mail import letters
from gm_server.mail.approvers import people_who_may
from gm_server.mail.outbox import queue
from gm_server.names import check_text, printable

from .paging import Page, Paging, fetch, matches
from .sight import sight_of
from .subjects import missing

RequestState = Literal["waiting", "approved", "denied", "withdrawn", "over"]
MAX_WAITING: Final = 20
"""Requests of one person that wait at the same time."""
MAX_AHEAD_S: Final = 92 * 86400.0
WAITING_S: Final = 7 * 86400.0
"""After which a request that nobody decided is over."""
LINK_PURPOSE: Final = "decide-access"


class NewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for."""

    appliance: Annotated[str, Meta(min_length=1, max_length=640)]
    """Id."""
    devices: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=512)] = ()
    """Ids; none: all that may be asked for."""
    reason: Annotated[str, Meta(min_length=1, max_length=512)]
    valid_from: Annotated[float, Meta(ge=0, le=1e11)] | None = None
    """None: from the approval on."""
    duration_s: Annotated[float, Meta(ge=60, le=31 * 86400)] = 4 * 3600.0


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """A request."""

    id: str
    state: RequestState
    user_id: str
    user: str
    appliance_id: str
    appliance: str
    """Path."""
    domain: str
    devices: tuple[str, ...]
    """Names; none: all that may be asked for."""
    reason: str
    valid_from: float | None
    duration_s: float
    created_at: float
    decided_at: float | None
    decided_by: str
    decision_text: str
    valid_until: float | None
    """Of what was approved."""
    may_decide: bool


class Sender(msgspec.Struct, frozen=True):
    """What letters need to know of the server."""

    gatemanager: str
    address: str
    """Base of links, like ``https://gm.example.com``."""
    seals: Seals


def list_requests(
    session: Session, by: Actor, paging: Paging, now: float, *, state: RequestState | None = None, user: str = ""
) -> Page[RequestView]:
    """Return the requests in domains that the actor sees, and his own, newest first."""
    seen: ColumnElement[bool] = sight_of(session, by, now).domains(Domain.path)
    if by.user_id and by.may_see_himself:
        seen = or_(seen, AccessRequest.user_id == by.user_id)
    query = _all().where(seen, matches(paging.search, User.name, Domain.path, Appliance.name, AccessRequest.reason))
    if state is not None:
        query = query.where(AccessRequest.state == state)
    if user:
        query = query.where(or_(User.id == user, User.name == user))
    found = fetch(session, query, paging, AccessRequest.created_at, AccessRequest.id, descending=True)
    views = tuple(_view(session, by, row.AccessRequest, row.user, row.appliance, row.path) for row in found.rows)
    return Page(views, found.next, found.total)


def get_request(session: Session, by: Actor, request_id: str) -> RequestView:
    """Return one request."""
    return _view(session, by, *_find(session, by, request_id))


def make_request(session: Session, by: Actor, wanted: NewRequest, sender: Sender | None, now: float) -> RequestView:
    """Ask for access; approvers get a letter."""
    if not by.user_id:
        raise InputError("a request is a person's: make it in the portal or with a LinkManager")
    if by.scopes is not None and Permission.CONNECT not in by.scopes:
        raise Forbidden("this token is not for connecting")
    facts = load_facts(session, [by.user_id], [wanted.appliance])
    appliance = facts.appliances.get(wanted.appliance)
    asked = facts.requestable(by.user_id, appliance, now) if appliance is not None else ()
    if appliance is None or not asked:
        missing("appliance that you may ask for", wanted.appliance)
    known = {device.device_id for device in asked}
    if not known.issuperset(wanted.devices):
        raise NotFound("there is no such device that you may ask for")
    if wanted.valid_from is not None and not now - 60 <= wanted.valid_from <= now + MAX_AHEAD_S:
        raise InputError(f"access can begin between now and {MAX_AHEAD_S / 86400:.0f} days from now")
    _check_room(session, by, wanted)
    request = AccessRequest(
        id=new_id("req"),
        user_id=by.user_id,
        appliance_id=appliance.appliance_id,
        device_ids=" ".join(wanted.devices),
        reason=check_text(wanted.reason.strip(), "the reason"),
        valid_from=wanted.valid_from,
        duration_s=wanted.duration_s,
        state="waiting",
        created_at=now,
    )
    if not request.reason:
        raise InputError("say why you need access")
    session.add(request)
    session.flush()
    view = _view(session, by, *_row(session, request.id))
    record(session, by, Event.ACCESS_REQUESTED, _subject(view), now, request=view.id, reason=view.reason)
    if sender is not None:
        _ask_approvers(session, view, sender, now)
    return view


def approve(session: Session, by: Actor, request_id: str, text: str, sender: Sender | None, now: float) -> RequestView:
    """Let it be: access begins and ends by itself."""
    request = _decide(session, by, request_id, "approved", text, now)
    begin = max(now, request.valid_from or now)
    end = (request.valid_from or now) + request.duration_s
    if end <= now:
        raise Conflict("what was asked for is over already: deny it")
    user = session.get_one(User, request.user_id)
    if user.disabled_at is not None:
        raise Conflict(f"the user {user.name} is disabled")
    terms = Terms(valid_from=begin, valid_until=end, reason=request.reason)
    for place in _places(session, request):
        make_grant(session, Holder(user_id=request.user_id), place, terms, now, by.name, request.id)
    return _told(session, by, request, Event.ACCESS_APPROVED, sender, now)


def deny(session: Session, by: Actor, request_id: str, text: str, sender: Sender | None, now: float) -> RequestView:
    """Let it not be; what was approved before ends."""
    request = _decide(session, by, request_id, "denied", text, now)
    _end_grants(session, request.id, now)
    return _told(session, by, request, Event.ACCESS_DENIED, sender, now)


def withdraw(session: Session, by: Actor, request_id: str, now: float) -> RequestView:
    """Take one's own request back; what was approved ends."""
    request = _find(session, by, request_id)[0]
    if by.user_id != request.user_id:
        raise Forbidden("only who made a request withdraws it: deny it instead")
    if request.state not in ("waiting", "approved"):
        raise Conflict(f"the request was {request.state} already")
    request.state, request.decided_at, request.decided_by = "withdrawn", now, by.name
    _end_grants(session, request.id, now)
    return _told(session, by, request, Event.ACCESS_WITHDRAWN, None, now)


def close_stale(session: Session, now: float) -> int:
    """Close requests that nobody decided in time, and those whose access is over; return how many."""
    begins = func.coalesce(AccessRequest.valid_from, AccessRequest.created_at + WAITING_S)
    undecided = and_(
        AccessRequest.state == "waiting",
        or_(
            AccessRequest.created_at < now - WAITING_S,
            and_(AccessRequest.valid_from.is_not(None), begins + AccessRequest.duration_s < now),
        ),
    )
    live = select(Grant.request_id).where(
        Grant.request_id.is_not(None), Grant.revoked_at.is_(None), Grant.valid_until > now
    )
    over = and_(AccessRequest.state == "approved", AccessRequest.id.not_in(live))
    stale = list(session.scalars(select(AccessRequest.id).where(or_(undecided, over))))
    late = update(AccessRequest).where(AccessRequest.id.in_(stale), AccessRequest.decided_at.is_(None))
    session.execute(late.values(decided_at=now, decided_by=SYSTEM.name, decision_text="nobody decided in time"))
    session.execute(update(AccessRequest).where(AccessRequest.id.in_(stale)).values(state="over"))
    return len(stale)


def decided_since(session: Session, user_ids: Collection[str], since: float) -> Sequence[RequestView]:
    """Return requests of these people that were decided since then, oldest first."""
    query = _all().where(AccessRequest.user_id.in_(user_ids), AccessRequest.decided_at >= since)
    rows = session.execute(query.order_by(AccessRequest.decided_at)).all()
    return [_view(session, SYSTEM, row.AccessRequest, row.user, row.appliance, row.path) for row in rows]


# -- links in letters -------------------------------------------------------------------------------------------------


def make_link(sender: Sender, request_id: str, user_id: str, now: float) -> str:
    """Return the address of the page on which an approver decides without signing in."""
    seal = sender.seals.make(LINK_PURPOSE, user_id, request_id.encode(), now + WAITING_S)
    token = base64.urlsafe_b64encode(seal).rstrip(b"=").decode()
    return f"{sender.address}/requests/{request_id}/decide?by={user_id}&token={token}"


def is_link_good(seals: Seals, request_id: str, user_id: str, token: str, now: float) -> bool:
    """Whether it is a link of ours for this person and request. It works once: a decided request stays decided."""
    try:
        seal = base64.urlsafe_b64decode(token.encode("ascii", "replace") + b"=" * (-len(token) % 4))
    except ValueError:
        return False
    return seals.is_good(seal, LINK_PURPOSE, user_id, request_id.encode(), now)


# -- steps ------------------------------------------------------------------------------------------------------------


def _decide(
    session: Session, by: Actor, request_id: str, state: Literal["approved", "denied"], text: str, now: float
) -> AccessRequest:
    request, _, _, domain = _find(session, by, request_id)
    by.must(Permission.APPROVE, domain, f"request {printable(request_id[:80])}")
    if by.user_id and by.user_id == request.user_id:
        raise Forbidden("nobody decides about his own request: ask another approver")
    if request.state != "waiting" and not (state == "denied" and request.state == "approved"):
        raise Conflict(f"the request was {request.state} already, by {request.decided_by or 'nobody'}")
    request.state, request.decided_at, request.decided_by = state, now, by.name
    request.decision_text = check_text(text.strip(), "the text")
    session.flush()
    return request


def _places(session: Session, request: AccessRequest) -> list[Place]:
    wanted = request.device_ids.split()
    if not wanted:
        return [Place(appliance_id=request.appliance_id)]
    query = select(Device.id).where(Device.id.in_(wanted), Device.appliance_id == request.appliance_id)
    places = [Place(device_id=device_id) for device_id in session.scalars(query.order_by(Device.name))]
    if not places:
        raise Conflict("the devices that were asked for are gone")
    return places


def _end_grants(session: Session, request_id: str, now: float) -> None:
    session.flush()
    open_ = update(Grant).where(Grant.request_id == request_id, Grant.revoked_at.is_(None))
    session.execute(open_.values(revoked_at=now))


def _told(
    session: Session, by: Actor, request: AccessRequest, event: Event, sender: Sender | None, now: float
) -> RequestView:
    session.flush()
    view = _view(session, by, *_row(session, request.id))
    record(
        session,
        by,
        event,
        _subject(view),
        now,
        request=view.id,
        user=view.user,
        reason=view.reason,
        text=view.decision_text,
        valid_until=view.valid_until,
    )
    if sender is not None:
        letter = letters.access_decided(
            sender.gatemanager, view.appliance, view.state, by.name, view.decision_text, view.valid_until
        )
        queue(session, session.get_one(User, view.user_id).email, letter, now)
    return view


def _ask_approvers(session: Session, view: RequestView, sender: Sender, now: float) -> None:
    for person in people_who_may(session, Permission.APPROVE, view.domain):
        if person.user_id == view.user_id:
            continue
        link = make_link(sender, view.id, person.user_id, now)
        letter = letters.access_asked(
            sender.gatemanager,
            view.user,
            view.appliance,
            ", ".join(view.devices),
            view.reason,
            view.duration_s,
            link,
        )
        queue(session, person.email, letter, now)


def _check_room(session: Session, by: Actor, wanted: NewRequest) -> None:
    own = select(AccessRequest).where(AccessRequest.user_id == by.user_id, AccessRequest.state == "waiting")
    waiting = session.scalars(own).all()
    if len(waiting) >= MAX_WAITING:
        raise Conflict(f"{MAX_WAITING} of your requests wait already: withdraw one first")
    same = (wanted.appliance, " ".join(wanted.devices), wanted.valid_from)
    if any((request.appliance_id, request.device_ids, request.valid_from) == same for request in waiting):
        raise Conflict("you asked for just this already: it waits for an approver")


_Row = tuple[AccessRequest, str, str, str]


def _all() -> Select[tuple[AccessRequest, str, str, str]]:
    return (
        select(AccessRequest, User.name.label("user"), Appliance.name.label("appliance"), Domain.path.label("path"))
        .join(User, User.id == AccessRequest.user_id)
        .join(Appliance, Appliance.id == AccessRequest.appliance_id)
        .join(Domain, Domain.id == Appliance.domain_id)
    )


def _row(session: Session, request_id: str) -> _Row:
    request, user, appliance, path = session.execute(_all().where(AccessRequest.id == request_id)).one()
    return request, user, appliance, path


def _find(session: Session, by: Actor, request_id: str) -> _Row:
    """Return a request that the actor may see: his own, or one in a domain of his."""
    what = f"request {printable(request_id[:80])}"
    row = session.execute(_all().where(AccessRequest.id == request_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no {what}")
    own = bool(by.user_id) and row.AccessRequest.user_id == by.user_id and by.may_see_himself
    if not own:
        by.must(Permission.SEE, row.path, what)
    return row.AccessRequest, row.user, row.appliance, row.path


def _view(session: Session, by: Actor, request: AccessRequest, user: str, appliance: str, domain: str) -> RequestView:
    names = select(Device.name).where(Device.id.in_(request.device_ids.split())).order_by(Device.name)
    ends = select(func.max(Grant.valid_until)).where(Grant.request_id == request.id, Grant.revoked_at.is_(None))
    assert request.state in get_args(RequestState)  # noqa: S101 - the schema's rule
    return RequestView(
        id=request.id,
        state=request.state,  # type: ignore[arg-type]
        user_id=request.user_id,
        user=user,
        appliance_id=request.appliance_id,
        appliance=f"{domain}/{appliance}",
        domain=domain,
        devices=tuple(session.scalars(names)) if request.device_ids else (),
        reason=request.reason,
        valid_from=request.valid_from,
        duration_s=request.duration_s,
        created_at=request.created_at,
        decided_at=request.decided_at,
        decided_by=request.decided_by,
        decision_text=request.decision_text,
        valid_until=session.scalar(ends) if request.state == "approved" else None,
        may_decide=by.may(Permission.APPROVE, domain) and not (by.user_id and by.user_id == request.user_id),
    )


def _subject(view: RequestView) -> Subject:
    return Subject(view.appliance_id, view.appliance, view.domain)

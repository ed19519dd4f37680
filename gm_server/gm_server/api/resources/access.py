"""Grants, requests for access, sessions."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gm_server.acts import grants, requests, sessions
from gm_server.acts.grants import GrantChange, GrantState, GrantView, NewGrant
from gm_server.acts.paging import Page, Paging
from gm_server.acts.requests import NewRequest, RequestState, RequestView
from gm_server.acts.sessions import SessionView
from gm_server.api.endpoints import Call, Endpoint
from gm_server.service.live import Live

from .moments import Moment
from .places import Reference

_BY_API: Final = "an administrator ended the session"


class GrantQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which grants."""

    user: Reference = ""
    group: Reference = ""
    domain: Reference = ""
    appliance: Reference = ""
    state: GrantState | None = None


class RequestQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which requests."""

    state: RequestState | None = None
    user: Reference = ""


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said with a decision."""

    text: Annotated[str, Meta(max_length=512)] = ""


class SessionQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which sessions; ``user`` and ``appliance`` are ids."""

    live: bool | None = None
    user: Reference = ""
    appliance: Reference = ""
    domain: Reference = ""
    since: Moment | None = None
    until: Moment | None = None


class EndOfSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a session is ended; its user reads it."""

    reason: Annotated[str, Meta(max_length=300)] = ""


class EndOfSessions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which sessions are ended; without any of the ids: all that the token may end."""

    user: Reference = ""
    appliance: Reference = ""
    domain: Reference = ""
    reason: Annotated[str, Meta(max_length=300)] = ""


class Ended(msgspec.Struct, frozen=True):
    """Sessions that were ended."""

    sessions: tuple[str, ...]


class _Ending(msgspec.Struct, frozen=True):
    ids: tuple[str, ...]
    reason: str
    answer: Any


def _counted(live: Live, view: SessionView) -> SessionView:
    here = live.session(view.id) if view.live else None
    if here is None:
        return view
    return msgspec.structs.replace(
        view, bytes_from_user=here.bytes_from_user, bytes_from_appliance=here.bytes_from_appliance
    )


def _all_counted(live: Live, page: Page[SessionView]) -> Page[SessionView]:
    return Page(tuple(_counted(live, view) for view in page.items), page.next, page.total)


def _list_sessions(session: Session, call: Call) -> Page[SessionView]:
    query: SessionQuery = call.query
    return sessions.list_sessions(
        session,
        call.by,
        query,
        call.now,
        live=query.live,
        user=query.user,
        appliance=query.appliance,
        domain=query.domain,
        since=query.since,
        until=query.until,
    )


def _end(session: Session, call: Call) -> _Ending:
    view = sessions.end_session(session, call.by, call.id, call.now, call.body.reason)
    return _Ending((view.id,), call.body.reason, Ended((view.id,)))


def _end_all(session: Session, call: Call) -> _Ending:
    body: EndOfSessions = call.body
    ids = sessions.end_sessions(
        session,
        call.by,
        call.now,
        user=body.user,
        appliance=body.appliance,
        domain=body.domain,
        why=body.reason,
    )
    return _Ending(ids, body.reason, Ended(ids))


def _ended(live: Live, ending: _Ending) -> Ended:
    for session_id in ending.ids:
        live.end_session(session_id, ending.reason or _BY_API)
    answer: Ended = ending.answer
    return answer


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/grants",
        name="listGrants",
        summary="List grants",
        tag="Grants",
        scope="read",
        query=GrantQuery,
        answer=Page[GrantView],
        work=lambda session, call: grants.list_grants(
            session,
            call.by,
            call.query,
            call.now,
            user=call.query.user,
            group=call.query.group,
            domain=call.query.domain,
            appliance=call.query.appliance,
            state=call.query.state,
        ),
    ),
    Endpoint(
        method="POST",
        path="/grants",
        name="addGrant",
        summary="Let a user or a group reach something",
        tag="Grants",
        scope="change",
        body=NewGrant,
        answer=GrantView,
        created="/grants/{id}",
        work=lambda session, call: grants.add_grant(session, call.by, call.body, call.now),
    ),
    Endpoint(
        method="GET",
        path="/grants/{grant_id}",
        name="getGrant",
        tagged=True,
        summary="Read a grant",
        tag="Grants",
        scope="read",
        answer=GrantView,
        work=lambda session, call: grants.get_grant(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="PATCH",
        path="/grants/{grant_id}",
        name="changeGrant",
        summary="Put a grant on other terms",
        tag="Grants",
        scope="change",
        body=GrantChange,
        answer=GrantView,
        current=lambda session, call: grants.get_grant(session, call.by, call.id, call.now),
        work=lambda session, call: grants.change_grant(session, call.by, call.id, call.body, call.now),
    ),
    Endpoint(
        method="POST",
        path="/grants/{grant_id}/end",
        name="endGrant",
        summary="End a grant; sessions that need it end within two seconds",
        tag="Grants",
        scope="change",
        answer=GrantView,
        work=lambda session, call: grants.end_grant(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/requests",
        name="listRequests",
        summary="List requests for access",
        tag="Requests",
        scope="read",
        query=RequestQuery,
        answer=Page[RequestView],
        work=lambda session, call: requests.list_requests(
            session, call.by, call.query, call.now, state=call.query.state, user=call.query.user
        ),
    ),
    Endpoint(
        method="POST",
        path="/requests",
        name="makeRequest",
        summary="Ask for access",
        tag="Requests",
        scope="connect",
        body=NewRequest,
        answer=RequestView,
        created="/requests/{id}",
        work=lambda session, call: requests.make_request(session, call.by, call.body, call.letters, call.now),
    ),
    Endpoint(
        method="GET",
        path="/requests/{request_id}",
        name="getRequest",
        summary="Read a request",
        tag="Requests",
        scope="read",
        answer=RequestView,
        work=lambda session, call: requests.get_request(session, call.by, call.id),
    ),
    Endpoint(
        method="POST",
        path="/requests/{request_id}/approve",
        name="approveRequest",
        summary="Let it be: access begins and ends by itself",
        tag="Requests",
        scope="approve",
        body=Decision,
        answer=RequestView,
        work=lambda session, call: requests.approve(session, call.by, call.id, call.body.text, call.letters, call.now),
    ),
    Endpoint(
        method="POST",
        path="/requests/{request_id}/deny",
        name="denyRequest",
        summary="Let it not be",
        tag="Requests",
        scope="approve",
        body=Decision,
        answer=RequestView,
        work=lambda session, call: requests.deny(session, call.by, call.id, call.body.text, call.letters, call.now),
    ),
    Endpoint(
        method="POST",
        path="/requests/{request_id}/withdraw",
        name="withdrawRequest",
        summary="Take one's own request back",
        tag="Requests",
        scope="connect",
        answer=RequestView,
        work=lambda session, call: requests.withdraw(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/sessions",
        name="listSessions",
        summary="List sessions, live and past",
        tag="Sessions",
        scope="read",
        query=SessionQuery,
        answer=Page[SessionView],
        work=_list_sessions,
        finish=_all_counted,
    ),
    Endpoint(
        method="GET",
        path="/sessions/{session_id}",
        name="getSession",
        summary="Read a session",
        tag="Sessions",
        scope="read",
        answer=SessionView,
        work=lambda session, call: sessions.get_session(session, call.by, call.id, call.now),
        finish=_counted,
    ),
    Endpoint(
        method="POST",
        path="/sessions/{session_id}/end",
        name="endSession",
        summary="End a live session: as an administrator, or one's own (scope connect)",
        tag="Sessions",
        scope="read",
        body=EndOfSession,
        answer=Ended,
        work=_end,
        finish=_ended,
    ),
    Endpoint(
        method="POST",
        path="/sessions/end",
        name="endSessions",
        summary="End live sessions: all that the token may end, or some of them",
        tag="Sessions",
        scope="read",
        body=EndOfSessions,
        answer=Ended,
        work=_end_all,
        finish=_ended,
    ),
)

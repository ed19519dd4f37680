"""Permanent relays."""

from __future__ import annotations

from typing import Final

from gm_server.acts import relays
from gm_server.acts.paging import Page, Paging
from gm_server.acts.relays import NewRelay, RelayChange, RelayView
from gm_server.api.endpoints import Endpoint
from gm_server.service.live import Live

from .places import Reference


class RelayQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which relays."""

    user: Reference = ""
    domain: Reference = ""
    appliance: Reference = ""


def _observed(live: Live, view: RelayView) -> RelayView:
    return relays.observed(view, live.relay(view.id, view.appliance_id))


def _all_observed(live: Live, page: Page[RelayView]) -> Page[RelayView]:
    return Page(tuple(_observed(live, view) for view in page.items), page.next, page.total)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/relays",
        name="listRelays",
        summary="List permanent relays and how they are",
        tag="Relays",
        scope="read",
        query=RelayQuery,
        answer=Page[RelayView],
        work=lambda session, call: relays.list_relays(
            session,
            call.by,
            call.query,
            call.now,
            domain=call.query.domain,
            user=call.query.user,
            appliance=call.query.appliance,
        ),
        finish=_all_observed,
    ),
    Endpoint(
        method="POST",
        path="/relays",
        name="addRelay",
        summary="Carry TCP between a device and a host beside a user's LinkManager; a grant must allow it",
        tag="Relays",
        scope="change",
        body=NewRelay,
        answer=RelayView,
        created="/relays/{id}",
        work=lambda session, call: relays.add_relay(session, call.by, call.body, call.now),
        finish=_observed,
    ),
    Endpoint(
        method="GET",
        path="/relays/{relay_id}",
        name="getRelay",
        tagged=True,
        summary="Read a relay",
        tag="Relays",
        scope="read",
        answer=RelayView,
        work=lambda session, call: relays.get_relay(session, call.by, call.id, call.now),
        finish=_observed,
    ),
    Endpoint(
        method="PATCH",
        path="/relays/{relay_id}",
        name="changeRelay",
        summary="Change a relay, or turn it on or off",
        tag="Relays",
        scope="change",
        body=RelayChange,
        answer=RelayView,
        current=lambda session, call: relays.get_relay(session, call.by, call.id, call.now),
        work=lambda session, call: relays.change_relay(session, call.by, call.id, call.body, call.now),
        finish=_observed,
    ),
    Endpoint(
        method="DELETE",
        path="/relays/{relay_id}",
        name="removeRelay",
        summary="Remove a relay; what it carries ends within two seconds",
        tag="Relays",
        scope="change",
        current=lambda session, call: relays.get_relay(session, call.by, call.id, call.now),
        work=lambda session, call: relays.remove_relay(session, call.by, call.id, call.now),
    ),
)

"""Domains, appliances, claims and those who wait."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gm_server.acts import appliances, claims, domains, history
from gm_server.acts.appliances import ApplianceChange, ApplianceDetail, ApplianceState, ApplianceView, ConnectionView
from gm_server.acts.claims import ClaimMade, ClaimView, WaitingView
from gm_server.acts.domains import DomainChange, DomainView, LoginMethod
from gm_server.acts.history import ApplianceHistory
from gm_server.acts.paging import Page, Paging
from gm_server.api.endpoints import Call, Endpoint
from gm_server.service.live import Live

from .moments import DAY_S, Moment

Reference = Annotated[str, Meta(max_length=700, description="Id or path.")]
Name = Annotated[str, Meta(min_length=1, max_length=63)]


class DomainQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which domains."""

    below: Reference = ""


class NewDomain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A domain to make: names from the top, `/` between them; all but the last one exist."""

    path: Annotated[str, Meta(min_length=1, max_length=512)]
    login_method: LoginMethod | None = None


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far back."""

    since: Moment | None = None
    """Without it: a day."""


class ApplianceQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which appliances."""

    domain: Reference = ""
    state: ApplianceState | None = None
    online: bool | None = None


class NewAppliance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An appliance that is expected."""

    domain: Reference
    name: Name
    note: Annotated[str, Meta(max_length=2000)] = ""


class NewClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A claim to make."""

    days: Annotated[float, Meta(gt=0, le=366)] = 7
    replace: bool = False
    """Another unit takes the place of the enrolled one."""


class ClaimQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which claims."""

    appliance: Reference = ""


class Adoption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one who waits is to belong."""

    domain: Reference
    name: Name


def _list_appliances(session: Session, call: Call) -> Page[ApplianceView]:
    query: ApplianceQuery = call.query
    return appliances.list_appliances(
        session,
        call.by,
        query,
        call.now,
        domain=query.domain,
        state=query.state,
        only=call.online if query.online is True else None,
        without=call.online if query.online is False else None,
    )


def _connected(live: Live, view: Any) -> Any:
    """Add how an appliance is connected; of one that a grant shows, whether it is."""
    here = live.appliance(view.id)
    if here is None:
        return msgspec.structs.replace(view, online=False)
    connection = None
    if not view.limited:
        latency_ms = None if here.latency_s is None else round(here.latency_s * 1000, 1)
        connection = ConnectionView(here.since, here.address, here.port, latency_ms)
    return msgspec.structs.replace(view, online=True, connection=connection)


def _all_connected(live: Live, page: Page[ApplianceView]) -> Page[ApplianceView]:
    return Page(tuple(_connected(live, view) for view in page.items), page.next, page.total)


def _claim(session: Session, call: Call) -> ClaimMade:
    body: NewClaim = call.body
    sender, replace = call.sender, body.replace
    return claims.create_claim(session, call.by, call.id, sender, body.days, call.now, replace=replace)


def _history(session: Session, call: Call) -> ApplianceHistory:
    since = call.query.since if call.query.since is not None else call.now - DAY_S
    return history.of_appliance(session, call.by, call.id, since)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/domains",
        name="listDomains",
        summary="List domains",
        tag="Domains",
        scope="read",
        query=DomainQuery,
        answer=Page[DomainView],
        work=lambda session, call: domains.list_domains(session, call.by, call.query, call.now, call.query.below),
    ),
    Endpoint(
        method="POST",
        path="/domains",
        name="addDomain",
        summary="Make a domain",
        tag="Domains",
        scope="change",
        body=NewDomain,
        answer=DomainView,
        created="/domains/{id}",
        work=lambda session, call: domains.add_domain(
            session, call.by, call.body.path, call.now, call.body.login_method
        ),
    ),
    Endpoint(
        method="GET",
        path="/domains/{domain_id}",
        name="getDomain",
        tagged=True,
        summary="Read a domain",
        tag="Domains",
        scope="read",
        answer=DomainView,
        work=lambda session, call: domains.get_domain(session, call.by, call.id),
    ),
    Endpoint(
        method="PATCH",
        path="/domains/{domain_id}",
        name="changeDomain",
        summary="Rename, move or set a domain",
        tag="Domains",
        scope="change",
        body=DomainChange,
        answer=DomainView,
        current=lambda session, call: domains.get_domain(session, call.by, call.id),
        work=lambda session, call: domains.change_domain(session, call.by, call.id, call.body, call.now),
    ),
    Endpoint(
        method="DELETE",
        path="/domains/{domain_id}",
        name="removeDomain",
        summary="Remove an empty domain",
        tag="Domains",
        scope="change",
        current=lambda session, call: domains.get_domain(session, call.by, call.id),
        work=lambda session, call: domains.remove_domain(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/appliances",
        name="listAppliances",
        summary="List appliances (SiteManagers)",
        tag="Appliances",
        scope="read",
        query=ApplianceQuery,
        answer=Page[ApplianceView],
        work=_list_appliances,
        finish=_all_connected,
    ),
    Endpoint(
        method="POST",
        path="/appliances",
        name="addAppliance",
        summary="Make an appliance that is expected; a claim lets the unit in",
        tag="Appliances",
        scope="change",
        body=NewAppliance,
        answer=ApplianceDetail,
        created="/appliances/{id}",
        work=lambda session, call: appliances.add_appliance(
            session, call.by, call.body.domain, call.body.name, call.now, call.body.note
        ),
        finish=_connected,
    ),
    Endpoint(
        method="GET",
        path="/appliances/{appliance_id}",
        name="getAppliance",
        tagged=True,
        summary="Read an appliance",
        tag="Appliances",
        scope="read",
        answer=ApplianceDetail,
        work=lambda session, call: appliances.get_appliance(session, call.by, call.id, call.now),
        finish=_connected,
    ),
    Endpoint(
        method="GET",
        path="/appliances/{appliance_id}/history",
        name="getApplianceHistory",
        summary="Read when an appliance was online, how fast and how much, and its last reports of itself",
        tag="Appliances",
        scope="read",
        query=HistoryQuery,
        answer=ApplianceHistory,
        work=_history,
    ),
    Endpoint(
        method="PATCH",
        path="/appliances/{appliance_id}",
        name="changeAppliance",
        summary="Rename, move or describe an appliance",
        tag="Appliances",
        scope="change",
        body=ApplianceChange,
        answer=ApplianceDetail,
        current=lambda session, call: appliances.get_appliance(session, call.by, call.id, call.now),
        work=lambda session, call: appliances.change_appliance(session, call.by, call.id, call.body, call.now),
        finish=_connected,
    ),
    Endpoint(
        method="DELETE",
        path="/appliances/{appliance_id}",
        name="removeAppliance",
        summary="Remove an appliance with its devices and grants",
        tag="Appliances",
        scope="change",
        current=lambda session, call: appliances.get_appliance(session, call.by, call.id, call.now),
        work=lambda session, call: appliances.remove_appliance(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="POST",
        path="/appliances/{appliance_id}/revoke",
        name="revokeAppliance",
        summary="Never accept an appliance's certificate again",
        tag="Appliances",
        scope="change",
        answer=ApplianceDetail,
        work=lambda session, call: appliances.revoke_appliance(session, call.by, call.id, call.now),
        finish=_connected,
    ),
    Endpoint(
        method="POST",
        path="/appliances/{appliance_id}/claims",
        name="addClaim",
        summary="Make a claim for an appliance; its text is in this answer alone",
        tag="Claims",
        scope="change",
        body=NewClaim,
        answer=ClaimMade,
        created="/claims/{id}",
        work=_claim,
    ),
    Endpoint(
        method="GET",
        path="/claims",
        name="listClaims",
        summary="List claims",
        tag="Claims",
        scope="read",
        query=ClaimQuery,
        answer=Page[ClaimView],
        work=lambda session, call: claims.list_claims(session, call.by, call.query, call.now, call.query.appliance),
    ),
    Endpoint(
        method="GET",
        path="/claims/{claim_id}",
        name="getClaim",
        summary="Read a claim",
        tag="Claims",
        scope="read",
        answer=ClaimView,
        work=lambda session, call: claims.get_claim(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="POST",
        path="/claims/{claim_id}/revoke",
        name="revokeClaim",
        summary="Close a claim that was not used yet",
        tag="Claims",
        scope="change",
        answer=ClaimView,
        work=lambda session, call: claims.revoke_claim(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/waiting",
        name="listWaiting",
        summary="List SiteManagers that came without a claim",
        tag="Appliances",
        scope="read",
        query=Paging,
        answer=Page[WaitingView],
        work=lambda session, call: claims.list_waiting(session, call.by, call.query),
    ),
    Endpoint(
        method="POST",
        path="/waiting/{waiting_id}/adopt",
        name="adopt",
        summary="Make an appliance of one that waits",
        tag="Appliances",
        scope="change",
        body=Adoption,
        answer=ApplianceDetail,
        created="/appliances/{id}",
        work=lambda session, call: claims.adopt(session, call.by, call.id, call.body.domain, call.body.name, call.now),
        finish=_connected,
    ),
    Endpoint(
        method="DELETE",
        path="/waiting/{waiting_id}",
        name="turnAway",
        summary="Take one that waits off the list",
        tag="Appliances",
        scope="change",
        work=lambda session, call: claims.turn_away(session, call.by, call.id, call.now),
    ),
)

"""Domains: the branches of the tree."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.orm import Session
from starlette.responses import Response

from gatelink.exceptions import GatelinkError
from gm_server.access.actors import Actor, Permission
from gm_server.acts import domains as acts
from gm_server.acts import roles as role_acts
from gm_server.acts.domains import DomainChange
from gm_server.acts.paging import Paging
from gm_server.web.forms import convert
from gm_server.web.visits import Visit

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]


async def index(visit: Visit) -> Response:
    """Show the list."""
    page = await visit.read(acts.list_domains, visit.paging(100), visit.now)
    return visit.show("domains.html", page=page)


async def show(visit: Visit) -> Response:
    """Show one domain: what lies in it, who has a role in it."""

    def look(session: Session, by: Actor) -> dict[str, Any]:
        domain = acts.get_domain(session, by, visit.name())
        return {
            "domain": domain,
            "below": acts.list_domains(session, by, Paging(limit=100), visit.now, below=domain.id),
            "roles": role_acts.list_roles(session, by, Paging(limit=100), visit.now, domain=domain.id),
        }

    values = await visit.read(look)
    return visit.show("domain.html", **values, may_change=visit.may_change(values["domain"].path))


async def add(visit: Visit) -> Response:
    """Make a domain."""
    if visit.is_post:
        path = visit.form.text("path")
        try:
            await visit.write(acts.add_domain, path, visit.now, _method(visit))
        except GatelinkError as error:
            return visit.again("domain_edit.html", error, domain=None)
        return visit.to("/domains", "domain-added")
    return visit.show("domain_edit.html", domain=None)


async def edit(visit: Visit) -> Response:
    """Rename, move, choose how people log in."""
    domain = await visit.read(acts.get_domain, visit.name())
    visit.by.must(Permission.CHANGE, domain.path, "such page")
    if visit.is_post:
        try:
            change = convert({"path": visit.form.text("path"), "login_method": _method(visit)}, DomainChange)
            await visit.write(acts.change_domain, domain.id, change, visit.now)
        except GatelinkError as error:
            return visit.again("domain_edit.html", error, domain=domain)
        return visit.to(f"/domains/{domain.id}", "saved")
    return visit.show("domain_edit.html", domain=domain)


async def remove(visit: Visit) -> Response:
    """Ask, then remove."""
    domain = await visit.read(acts.get_domain, visit.name())
    if not visit.is_post:
        return visit.ask("domain-remove", domain.path, f"/domains/{domain.id}")
    await visit.write(acts.remove_domain, domain.id, visit.now)
    return visit.to("/domains", "domain-removed")


def _method(visit: Visit) -> Any:
    return visit.form.text("login_method") or None


PAGES: Final = (
    ("/domains", index, GET),
    ("/domains/add", add, BOTH),
    ("/domains/{id}", show, GET),
    ("/domains/{id}/edit", edit, BOTH),
    ("/domains/{id}/remove", remove, BOTH),
)

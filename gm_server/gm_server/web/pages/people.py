"""Users, groups and roles."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.orm import Session
from starlette.responses import Response

from gatelink.exceptions import GatelinkError
from gm_server.access.actors import Actor, Permission
from gm_server.acts import certificates as certificate_acts
from gm_server.acts import grants as grant_acts
from gm_server.acts import groups as group_acts
from gm_server.acts import invitations as invitation_acts
from gm_server.acts import roles as role_acts
from gm_server.acts import sessions as session_acts
from gm_server.acts import users as acts
from gm_server.acts.domains import list_domains
from gm_server.acts.groups import GroupChange
from gm_server.acts.paging import Paging
from gm_server.acts.users import NewUser, UserChange
from gm_server.web import images
from gm_server.web.forms import Form, convert
from gm_server.web.visits import Visit

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]
POST: Final = ["POST"]
FEW: Final = Paging(limit=8)
MANY: Final = Paging(limit=200)


async def users(visit: Visit) -> Response:
    """Show the list of users."""
    state, domain = visit.query.text("state"), visit.query.text("domain")
    page = await visit.read(acts.list_users, visit.paging(), visit.now, domain=domain, state=state or None)  # type: ignore[arg-type]
    online = {user.user_id for user in visit.live.users()}
    return visit.show("users.html", page=page, state=state, domain=domain, online=online)


async def user(visit: Visit) -> Response:
    """Show one user."""

    def look(session: Session, by: Actor) -> dict[str, Any]:
        found = acts.get_user(session, by, visit.name(), visit.now)
        return {
            "user": found,
            "certificates": certificate_acts.list_certificates(session, by, FEW, visit.now, user=found.id).items,
            "invitations": invitation_acts.list_invitations(session, by, FEW, visit.now, user=found.id).items,
            "grants": grant_acts.list_grants(session, by, FEW, visit.now, user=found.id).items,
            "roles": role_acts.list_roles(session, by, MANY, visit.now, user=found.id).items,
            "sessions": session_acts.list_sessions(session, by, FEW, visit.now, user=found.id).items,
            "groups": group_acts.list_groups(session, by, MANY, visit.now, user=found.id).items,
        }

    values = await visit.read(look)
    connected = [one for one in visit.live.users() if one.user_id == values["user"].id]
    may_change = visit.may_change(values["user"].domain)
    return visit.show("user.html", **values, connected=connected, may_change=may_change)


async def add_user(visit: Visit) -> Response:
    """Make an account."""
    domains = await visit.read(list_domains, MANY, visit.now)
    if visit.is_post:
        try:
            made = await visit.write(acts.add_user, convert(_typed(visit.form), NewUser), visit.now)
        except GatelinkError as error:
            return visit.again("user_edit.html", error, user=None, domains=domains)
        return visit.to(f"/users/{made.id}", "user-added")
    return visit.show("user_edit.html", user=None, domains=domains)


async def edit_user(visit: Visit) -> Response:
    """Change an account."""
    found = await visit.read(acts.get_user, visit.name(), visit.now)
    visit.by.must(Permission.CHANGE, found.domain, "such page")
    domains = await visit.read(list_domains, MANY, visit.now)
    if visit.is_post:
        try:
            await visit.write(acts.change_user, found.id, convert(_typed(visit.form), UserChange), visit.now)
        except GatelinkError as error:
            return visit.again("user_edit.html", error, user=found, domains=domains)
        return visit.to(f"/users/{found.id}", "saved")
    return visit.show("user_edit.html", user=found, domains=domains)


def _typed(form: Form) -> dict[str, Any]:
    fields = ("name", "domain", "full_name", "email", "phone", "language")
    return {name: form.text(name) for name in fields} | {"login_method": form.text("login_method") or None}


async def disable_user(visit: Visit) -> Response:
    """Ask, then disable."""
    found = await visit.read(acts.get_user, visit.name(), visit.now)
    if not visit.is_post:
        return visit.ask("user-disable", found.name, f"/users/{found.id}")
    await visit.write(acts.disable_user, found.id, visit.now)
    return visit.to(f"/users/{found.id}", "user-disabled")


async def enable_user(visit: Visit) -> Response:
    """Enable an account again."""
    found = await visit.write(acts.enable_user, visit.name(), visit.now)
    return visit.to(f"/users/{found.id}", "user-enabled")


async def remove_user(visit: Visit) -> Response:
    """Ask, then remove."""
    found = await visit.read(acts.get_user, visit.name(), visit.now)
    if not visit.is_post:
        return visit.ask("user-remove", found.name, f"/users/{found.id}")
    await visit.write(acts.remove_user, found.id, visit.now)
    return visit.to("/users", "user-removed")


async def invite(visit: Visit) -> Response:
    """Make an invitation, and show it this once."""
    days = visit.form.number("days", "the number of days") or 7
    made = await visit.write(invitation_acts.invite, visit.name(), visit.portal.sender(), days, visit.now)
    code = images.qr_code(made.text, visit.gettext("The invitation as a QR code"))
    link = visit.portal.invitation_link(made.text)
    return visit.show("invitation.html", made=made, code=code, link=link)


async def revoke_invitation(visit: Visit) -> Response:
    """Ask, then take an invitation back."""
    found = await visit.read(invitation_acts.get_invitation, visit.name(), visit.now)
    if not visit.is_post:
        return visit.ask("invitation-revoke", found.user, f"/users/{found.user_id}")
    await visit.write(invitation_acts.revoke_invitation, found.id, visit.now)
    return visit.to(f"/users/{found.user_id}", "invitation-revoked")


async def revoke_certificate(visit: Visit) -> Response:
    """Ask, then revoke."""
    back = f"/users/{visit.name('user')}"
    if not visit.is_post:
        found = await visit.read(acts.get_user, visit.name("user"), visit.now)
        return visit.ask("certificate-revoke", found.name, back)
    await visit.write(certificate_acts.revoke_certificate, visit.name(), visit.now)
    return visit.to(back, "certificate-revoked")


async def groups(visit: Visit) -> Response:
    """Show the list of groups."""
    return visit.show("groups.html", page=await visit.read(group_acts.list_groups, visit.paging(), visit.now))


async def group(visit: Visit) -> Response:
    """Show one group."""
    return await _group(visit)


async def _group(visit: Visit, error: GatelinkError | None = None) -> Response:
    def look(session: Session, by: Actor) -> dict[str, Any]:
        found = group_acts.get_group(session, by, visit.name())
        return {
            "group": found,
            "members": acts.list_users(session, by, MANY, visit.now, group=found.id),
            "grants": grant_acts.list_grants(session, by, MANY, visit.now, group=found.id).items,
            "roles": role_acts.list_roles(session, by, MANY, visit.now, group=found.id).items,
        }

    values = await visit.read(look)
    values["may_change"] = visit.may_change(values["group"].domain)
    if error is not None:
        return visit.again("group.html", error, **values)
    return visit.show("group.html", **values)


async def add_group(visit: Visit) -> Response:
    """Make a group."""
    domains = await visit.read(list_domains, MANY, visit.now)
    if visit.is_post:
        form = visit.form
        try:
            made = await visit.write(group_acts.add_group, form.text("domain"), form.text("name"), visit.now)
        except GatelinkError as error:
            return visit.again("group_edit.html", error, group=None, domains=domains)
        return visit.to(f"/groups/{made.id}", "group-added")
    return visit.show("group_edit.html", group=None, domains=domains)


async def edit_group(visit: Visit) -> Response:
    """Rename a group."""
    found = await visit.read(group_acts.get_group, visit.name())
    visit.by.must(Permission.CHANGE, found.domain, "such page")
    if visit.is_post:
        try:
            change = convert({"name": visit.form.text("name")}, GroupChange)
            await visit.write(group_acts.change_group, found.id, change, visit.now)
        except GatelinkError as error:
            return visit.again("group_edit.html", error, group=found, domains=None)
        return visit.to(f"/groups/{found.id}", "saved")
    return visit.show("group_edit.html", group=found, domains=None)


async def remove_group(visit: Visit) -> Response:
    """Ask, then remove."""
    found = await visit.read(group_acts.get_group, visit.name())
    if not visit.is_post:
        return visit.ask("group-remove", found.path, f"/groups/{found.id}")
    await visit.write(group_acts.remove_group, found.id, visit.now)
    return visit.to("/groups", "group-removed")


async def add_member(visit: Visit) -> Response:
    """Put somebody into a group."""
    try:
        await visit.write(group_acts.add_member, visit.name(), visit.form.text("user"), visit.now)
    except GatelinkError as error:
        return await _group(visit, error)
    return visit.to(f"/groups/{visit.name()}", "member-added")


async def remove_member(visit: Visit) -> Response:
    """Take somebody out of a group."""
    try:
        await visit.write(group_acts.remove_member, visit.name(), visit.form.text("user"), visit.now)
    except GatelinkError as error:
        return await _group(visit, error)
    return visit.to(f"/groups/{visit.name()}", "member-removed")


async def add_role(visit: Visit) -> Response:
    """Give somebody a role."""
    domains = await visit.read(list_domains, MANY, visit.now)
    if visit.is_post:
        try:
            given = await visit.write(_give, visit.form, visit.now)
        except GatelinkError as error:
            return visit.again("role_add.html", error, domains=domains)
        kind = "users" if given.holder_kind == "user" else "groups"
        return visit.to(f"/{kind}/{given.holder_id}", "role-given")
    return visit.show("role_add.html", domains=domains)


def _give(session: Session, by: Actor, form: Form, now: float) -> role_acts.RoleView:
    holder = form.text("holder")
    who = {"group": holder} if "/" in holder else {"user": holder}
    where = None if form.text("reach") == "server" else form.text("domain")
    return role_acts.give_role(session, by, form.text("role"), now, domain=where, **who)  # type: ignore[arg-type]


async def take_role(visit: Visit) -> Response:
    """Ask, then take a role away."""
    back = visit.query.text("back")
    back = back if back.startswith(("/users/", "/groups/", "/domains/")) else "/users"
    if not visit.is_post:
        return visit.ask("role-take", visit.gettext("its holder"), back)
    await visit.write(role_acts.take_role, visit.name(), visit.now)
    return visit.to(back, "role-taken")


PAGES: Final = (
    ("/users", users, GET),
    ("/users/add", add_user, BOTH),
    ("/users/{id}", user, GET),
    ("/users/{id}/edit", edit_user, BOTH),
    ("/users/{id}/disable", disable_user, BOTH),
    ("/users/{id}/enable", enable_user, POST),
    ("/users/{id}/remove", remove_user, BOTH),
    ("/users/{id}/invite", invite, POST),
    ("/invitations/{id}/revoke", revoke_invitation, BOTH),
    ("/users/{user}/certificates/{id}/revoke", revoke_certificate, BOTH),
    ("/groups", groups, GET),
    ("/groups/add", add_group, BOTH),
    ("/groups/{id}", group, GET),
    ("/groups/{id}/edit", edit_group, BOTH),
    ("/groups/{id}/remove", remove_group, BOTH),
    ("/groups/{id}/members/add", add_member, POST),
    ("/groups/{id}/members/remove", remove_member, POST),
    ("/roles/add", add_role, BOTH),
    ("/roles/{id}/take", take_role, BOTH),
)

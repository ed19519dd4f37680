"""Users, invitations, groups, roles, certificates and tokens."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gatelink.exceptions import InputError
from gm_server.access.actors import RoleName
from gm_server.acts import certificates, groups, invitations, roles, tokens, users
from gm_server.acts.certificates import CertificateView
from gm_server.acts.groups import GroupChange, GroupView
from gm_server.acts.invitations import InvitationMade, InvitationView
from gm_server.acts.paging import Page, Paging
from gm_server.acts.roles import RoleView
from gm_server.acts.tokens import TokenView
from gm_server.acts.users import NewUser, UserChange, UserState, UserView
from gm_server.api.endpoints import Call, Endpoint
from gm_server.service.live import Live

from .places import Name, Reference


class UserQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which users."""

    domain: Reference = ""
    group: Reference = ""
    state: UserState | None = None


class OfUserQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Whose."""

    user: Reference = ""


class UserConnection(msgspec.Struct, frozen=True):
    """A LinkManager that is connected."""

    since: float
    address: str


class NewInvitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An invitation to make."""

    days: Annotated[float, Meta(gt=0, le=366)] = 7


class GroupQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which groups."""

    domain: Reference = ""
    user: Reference = ""


class NewGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group to make."""

    domain: Reference
    name: Name


class RoleQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which roles."""

    domain: Reference = ""
    user: Reference = ""
    group: Reference = ""


class NewRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A role to give, to one of ``user`` and ``group``."""

    role: RoleName
    user: Reference = ""
    group: Reference = ""
    domain: Reference | None = None
    """None: the whole server."""


def _connections(live: Live, user: UserView) -> tuple[UserConnection, ...]:
    return tuple(UserConnection(one.since, one.address) for one in live.users() if one.user_id == user.id)


def _member(call: Call) -> str:
    return call.names["user_id"]


def _give(session: Any, call: Call) -> RoleView:
    body: NewRole = call.body
    if body.domain == "":
        raise InputError("domain: expected an id or a path, or null for the whole server")
    return roles.give_role(session, call.by, body.role, call.now, user=body.user, group=body.group, domain=body.domain)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/users",
        name="listUsers",
        summary="List users",
        tag="Users",
        scope="read",
        query=UserQuery,
        answer=Page[UserView],
        work=lambda session, call: users.list_users(
            session,
            call.by,
            call.query,
            call.now,
            domain=call.query.domain,
            group=call.query.group,
            state=call.query.state,
        ),
    ),
    Endpoint(
        method="POST",
        path="/users",
        name="addUser",
        summary="Make a user; an invitation lets the person in",
        tag="Users",
        scope="change",
        body=NewUser,
        answer=UserView,
        created="/users/{id}",
        work=lambda session, call: users.add_user(session, call.by, call.body, call.now),
    ),
    Endpoint(
        method="GET",
        path="/users/{user_id}",
        name="getUser",
        tagged=True,
        summary="Read a user",
        tag="Users",
        scope="read",
        answer=UserView,
        work=lambda session, call: users.get_user(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="PATCH",
        path="/users/{user_id}",
        name="changeUser",
        summary="Change a user",
        tag="Users",
        scope="change",
        body=UserChange,
        answer=UserView,
        current=lambda session, call: users.get_user(session, call.by, call.id, call.now),
        work=lambda session, call: users.change_user(session, call.by, call.id, call.body, call.now),
    ),
    Endpoint(
        method="DELETE",
        path="/users/{user_id}",
        name="removeUser",
        summary="Remove a user; the history keeps the name",
        tag="Users",
        scope="change",
        current=lambda session, call: users.get_user(session, call.by, call.id, call.now),
        work=lambda session, call: users.remove_user(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/users/{user_id}/connections",
        name="listConnections",
        summary="List a user's LinkManagers that are connected",
        tag="Users",
        scope="read",
        answer=tuple[UserConnection, ...],
        work=lambda session, call: users.get_user(session, call.by, call.id, call.now),
        finish=_connections,
    ),
    Endpoint(
        method="POST",
        path="/users/{user_id}/disable",
        name="disableUser",
        summary="Let a user in no more; what is open ends",
        tag="Users",
        scope="change",
        answer=UserView,
        work=lambda session, call: users.disable_user(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="POST",
        path="/users/{user_id}/enable",
        name="enableUser",
        summary="Let a disabled user in again",
        tag="Users",
        scope="change",
        answer=UserView,
        work=lambda session, call: users.enable_user(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="POST",
        path="/users/{user_id}/invitations",
        name="invite",
        summary="Invite a user; the invitation's text is in this answer alone",
        tag="Users",
        scope="change",
        body=NewInvitation,
        answer=InvitationMade,
        created="/invitations/{id}",
        work=lambda session, call: invitations.invite(session, call.by, call.id, call.sender, call.body.days, call.now),
    ),
    Endpoint(
        method="GET",
        path="/invitations",
        name="listInvitations",
        summary="List invitations",
        tag="Users",
        scope="read",
        query=OfUserQuery,
        answer=Page[InvitationView],
        work=lambda session, call: invitations.list_invitations(
            session, call.by, call.query, call.now, call.query.user
        ),
    ),
    Endpoint(
        method="GET",
        path="/invitations/{invitation_id}",
        name="getInvitation",
        summary="Read an invitation",
        tag="Users",
        scope="read",
        answer=InvitationView,
        work=lambda session, call: invitations.get_invitation(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="POST",
        path="/invitations/{invitation_id}/revoke",
        name="revokeInvitation",
        summary="Close an invitation that was not used yet",
        tag="Users",
        scope="change",
        answer=InvitationView,
        work=lambda session, call: invitations.revoke_invitation(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/groups",
        name="listGroups",
        summary="List groups",
        tag="Groups",
        scope="read",
        query=GroupQuery,
        answer=Page[GroupView],
        work=lambda session, call: groups.list_groups(
            session, call.by, call.query, call.now, domain=call.query.domain, user=call.query.user
        ),
    ),
    Endpoint(
        method="POST",
        path="/groups",
        name="addGroup",
        summary="Make a group",
        tag="Groups",
        scope="change",
        body=NewGroup,
        answer=GroupView,
        created="/groups/{id}",
        work=lambda session, call: groups.add_group(session, call.by, call.body.domain, call.body.name, call.now),
    ),
    Endpoint(
        method="GET",
        path="/groups/{group_id}",
        name="getGroup",
        tagged=True,
        summary="Read a group",
        tag="Groups",
        scope="read",
        answer=GroupView,
        work=lambda session, call: groups.get_group(session, call.by, call.id),
    ),
    Endpoint(
        method="PATCH",
        path="/groups/{group_id}",
        name="changeGroup",
        summary="Rename a group",
        tag="Groups",
        scope="change",
        body=GroupChange,
        answer=GroupView,
        current=lambda session, call: groups.get_group(session, call.by, call.id),
        work=lambda session, call: groups.change_group(session, call.by, call.id, call.body, call.now),
    ),
    Endpoint(
        method="DELETE",
        path="/groups/{group_id}",
        name="removeGroup",
        summary="Remove a group with its grants and roles",
        tag="Groups",
        scope="change",
        current=lambda session, call: groups.get_group(session, call.by, call.id),
        work=lambda session, call: groups.remove_group(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="PUT",
        path="/groups/{group_id}/members/{user_id}",
        name="addMember",
        summary="Take a user into a group",
        tag="Groups",
        scope="change",
        answer=GroupView,
        work=lambda session, call: groups.add_member(session, call.by, call.id, _member(call), call.now),
    ),
    Endpoint(
        method="DELETE",
        path="/groups/{group_id}/members/{user_id}",
        name="removeMember",
        summary="Take a user out of a group",
        tag="Groups",
        scope="change",
        answer=GroupView,
        work=lambda session, call: groups.remove_member(session, call.by, call.id, _member(call), call.now),
    ),
    Endpoint(
        method="GET",
        path="/roles",
        name="listRoles",
        summary="List roles",
        tag="Roles",
        scope="read",
        query=RoleQuery,
        answer=Page[RoleView],
        work=lambda session, call: roles.list_roles(
            session,
            call.by,
            call.query,
            call.now,
            domain=call.query.domain,
            user=call.query.user,
            group=call.query.group,
        ),
    ),
    Endpoint(
        method="POST",
        path="/roles",
        name="giveRole",
        summary="Give a role to a user or a group",
        tag="Roles",
        scope="change",
        body=NewRole,
        answer=RoleView,
        work=_give,
    ),
    Endpoint(
        method="DELETE",
        path="/roles/{role_id}",
        name="takeRole",
        summary="Take a role",
        tag="Roles",
        scope="change",
        work=lambda session, call: roles.take_role(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/certificates",
        name="listCertificates",
        summary="List certificates of users",
        tag="Users",
        scope="read",
        query=OfUserQuery,
        answer=Page[CertificateView],
        work=lambda session, call: certificates.list_certificates(
            session, call.by, call.query, call.now, call.query.user
        ),
    ),
    Endpoint(
        method="POST",
        path="/certificates/{certificate_id}/revoke",
        name="revokeCertificate",
        summary="Never accept a user's certificate again",
        tag="Users",
        scope="change",
        answer=CertificateView,
        work=lambda session, call: certificates.revoke_certificate(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/tokens",
        name="listTokens",
        summary="List API tokens",
        tag="Tokens",
        scope="read",
        query=OfUserQuery,
        answer=Page[TokenView],
        work=lambda session, call: tokens.list_tokens(session, call.by, call.query, call.now, call.query.user),
    ),
    Endpoint(
        method="POST",
        path="/tokens/{token_id}/revoke",
        name="revokeToken",
        summary="Let a token be of no use from now on",
        tag="Tokens",
        scope="change",
        answer=TokenView,
        work=lambda session, call: tokens.revoke_token(session, call.by, call.id, call.now),
    ),
)

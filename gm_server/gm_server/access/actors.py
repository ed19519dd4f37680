"""Who acts, and what his roles let him do where. No I/O.

A role holds in its domain and everything below it; without a domain, on the whole server.

    role            sees    asks and connects    decides requests    changes
    observer        x
    operator        x       x
    approver        x                            x
    administrator   x       x                    x                   x

Roles open no device: what somebody reaches is decided by grants (``rights``). A grant also lets its holder see what it
is for; but it does not count where its holder has roles and none of them connects (an observer stays one).

What somebody may not see does not exist for him: asking for it is answered as if it were not there.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

import msgspec

from gm_server.exceptions import Forbidden, NotFound

RoleName = Literal["administrator", "operator", "observer", "approver"]
Via = Literal["portal", "api", "cli", "lm", "sm", "system"]


class Permission(Enum):
    """What a role may allow in a domain."""

    SEE = "see"
    CONNECT = "connect"
    APPROVE = "approve"
    CHANGE = "change"


PERMISSIONS: Final[dict[RoleName, frozenset[Permission]]] = {
    "observer": frozenset({Permission.SEE}),
    "operator": frozenset({Permission.SEE, Permission.CONNECT}),
    "approver": frozenset({Permission.SEE, Permission.APPROVE}),
    "administrator": frozenset(Permission),
}


class Role(msgspec.Struct, frozen=True):
    """A role in a domain (its path) and below; None: on the whole server."""

    name: RoleName
    domain: str | None = None

    def holds_in(self, domain: str | None) -> bool:
        """Whether it counts in this domain; None is the server itself, above all domains."""
        return self.domain is None or (domain is not None and is_within(domain, self.domain))


class Actor(msgspec.Struct, frozen=True):
    """Somebody who acts: by which way, from where, with which roles."""

    user_id: str
    name: str
    roles: tuple[Role, ...]
    via: Via
    address: str = ""
    scopes: frozenset[Permission] | None = None
    """To what an API token limits him; None: to nothing."""

    def may(self, permission: Permission, domain: str | None) -> bool:
        """Whether a role of his allows it there. ``domain`` is a path; None is the server itself."""
        if self.scopes is not None and permission not in self.scopes:
            return False
        return any(permission in PERMISSIONS[role.name] for role in self.roles if role.holds_in(domain))

    def must(self, permission: Permission, domain: str | None, what: str) -> None:
        """Raise NotFound for what he may not see, Forbidden for what he may see and not do."""
        if not self.may(Permission.SEE, domain):
            raise NotFound(f"there is no {what}")
        if not self.may(permission, domain):
            raise Forbidden(f"your roles do not let you {permission.value} here: ask an administrator of the domain")

    def must_serve(self) -> None:
        """Raise Forbidden unless he administers the whole server."""
        if not self.may(Permission.CHANGE, None):
            raise Forbidden("only administrators of the whole server may do this")

    @property
    def may_see_himself(self) -> bool:
        """Whether he may read what is his own: everybody may, unless a token of his is not for reading."""
        return self.scopes is None or Permission.SEE in self.scopes

    @property
    def seen_domains(self) -> tuple[str, ...] | None:
        """Paths of the domains that his roles let him see, with everything below each; None: all."""
        if not self.may_see_himself:
            return ()
        paths = {role.domain for role in self.roles}
        return None if None in paths else tuple(sorted(path for path in paths if path is not None))


def may_use_grants(roles: tuple[Role, ...], domain: str) -> bool:
    """Whether grants count for somebody with these roles in a domain: not for those who only watch there."""
    here = [role for role in roles if role.holds_in(domain)]
    return not here or any(Permission.CONNECT in PERMISSIONS[role.name] for role in here)


def is_within(domain: str, ancestor: str) -> bool:
    """Whether a domain's path is ``ancestor`` or lies below it."""
    return domain == ancestor or domain.startswith(ancestor + "/")


def at_the_console(name: str) -> Actor:
    """Return who administers on the server's command line: whoever can, owns its files."""
    return Actor("", name, (Role("administrator"),), "cli")


SYSTEM: Final = Actor("", "GateManager", (Role("administrator"),), "system")
"""The server itself, where nobody asked it to act."""

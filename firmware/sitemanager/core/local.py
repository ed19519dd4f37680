"""How programs on this host speak with the daemon: one line of JSON each way on a Unix socket.

    {"request": {"command": "status"}}                                                     sm status
    {"request": {"command": "status"}, "page": {"session": "...", "address": "10.0.0.7"}}  the set-up page
    {"kind": "status", ...} | {"kind": "failure", "text": "..."}                           the daemon

A request is a subclass of ``LocalRequest``, an answer one of ``LocalAnswer``; ``services.desk.Desk.register`` says who
may ask it. What the set-up page asks counts as asked by the browser behind it: nothing without a login, but what
``Access`` ``anybody`` allows; a page that is taken over has no rights of its own.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

SOCKET_NAME: Final = "sm.sock"
"""In the runtime directory."""
MAX_REQUEST_BYTES: Final = 512 * 1024
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024

Access: TypeAlias = Literal["anybody", "technician", "owner"]
"""``anybody`` who reaches the page; a ``technician`` who logged in there; the ``owner``: root and the daemon's user.

Who may do more may do less: the owner may ask everything.
"""


def _tag(class_name: str) -> str:
    name = class_name.removesuffix("Request").removesuffix("Answer")
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


class LocalRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command", tag=_tag
):
    """Base of all requests; ``command`` is the class's name in lower case with hyphens, without ``Request``."""


class LocalAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=_tag):
    """Base of all answers; ``kind`` is the class's name in lower case with hyphens, without ``Answer``."""


class Failure(LocalAnswer, frozen=True):
    """It could not be done: one line for people; ``code`` is for programs."""

    text: str
    code: Literal["failed", "unknown", "not-allowed", "login"] = "failed"


class DoneAnswer(LocalAnswer, frozen=True):
    """It is done."""

    text: str = ""


class PageVisit(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the set-up page asks for."""

    session: Annotated[str, Meta(max_length=128)] = ""
    """What the login answered; empty without one."""
    address: Annotated[str, Meta(max_length=64)] = ""
    """The browser's, to slow down guessing and for the log."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes over the socket."""

    request: msgspec.Raw
    page: PageVisit | None = None


class Caller(msgspec.Struct, frozen=True):
    """Who asks, as a handler gets it."""

    access: Access
    address: str = ""
    """Of the browser, if a page asks."""
    session: str = ""

    @property
    def name(self) -> str:
        """For the log."""
        return f"the set-up page at {self.address}" if self.address else "a command on this host"


def tag_of(kind: type[msgspec.Struct]) -> str:
    """Return the word on the wire for a request or an answer."""
    return str(kind.__struct_config__.tag)

"""What an endpoint of the API is: an act with its address, its types and its scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from sqlalchemy.orm import Session

from gatelink.identity import Identity
from gm_server.access.actors import Actor
from gm_server.acts import requests
from gm_server.acts.tokens import Scope
from gm_server.appliances.bundle_files import BundleFiles
from gm_server.enrolment.claims import Sender
from gm_server.service.live import Live

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Reach(msgspec.Struct, frozen=True):
    """What of the running server endpoints need."""

    live: Live
    sender: Callable[[], Sender]
    letters: Callable[[], requests.Sender]
    identity: Callable[[], Identity]
    gatemanager: str
    """Its name."""


class Call(msgspec.Struct, frozen=True):
    """A request, read and checked. It is worked on in the thread of the records, in one transaction."""

    by: Actor
    now: float
    names: dict[str, str]
    """Parts of the address."""
    query: Any
    body: Any
    online: frozenset[str]
    """Ids of the appliances that are connected."""
    sender: Sender
    letters: requests.Sender
    files: BundleFiles
    identity: Identity
    gatemanager: str
    """The server's name."""

    @property
    def id(self) -> str:
        """What the address names first."""
        return next(iter(self.names.values()))


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A method of an address."""

    method: Method
    path: str
    """Below ``/api/v1``."""
    name: str
    """Unique; OpenAPI's operation id."""
    summary: str
    tag: str
    scope: Scope
    work: Callable[[Session, Call], Any]
    query: type[msgspec.Struct] = NoQuery
    body: Any = None
    """Type of the request's body; None: it has none."""
    admit: Callable[[Session, Call], None] | None = None
    """The body is firmware: raises for who may not send any, before a byte is read. ``body`` is ``Received`` then."""
    answer: Any = None
    """Type of the answer's body; None: 204, it has none."""
    file: tuple[str, ...] = ()
    """Media types of the answer where it is a file (``acts.audit.ExportFile``), which is sent while it is written."""
    created: str = ""
    """Address of what is made, with ``{id}``: 201 and ``Location``."""
    current: Callable[[Session, Call], Any] | None = None
    """What ``If-Match`` is compared with, where two who change the same thing must not lose a change."""
    tagged: bool = False
    """It reads one thing that others change with ``If-Match``."""
    finish: Callable[[Live, Any], Any] | None = None
    """Completes the answer by what only the running server knows, or tells it what was decided; it may be awaited."""

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"

    @property
    def status(self) -> int:
        """Of success."""
        return 204 if self.answer is None and not self.file else 201 if self.created else 200

    @property
    def is_tagged(self) -> bool:
        """Whether the answer carries the entity tag of what can be changed with ``If-Match``."""
        return self.tagged or (self.current is not None and self.answer is not None)

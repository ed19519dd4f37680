"""Errors of the GateManager, beside those of the library (``gatelink.exceptions``).

GatelinkError
├── InputError             a person gave something unusable: exit status 2
│   ├── NotFound           what he names does not exist
│   └── Conflict           it exists already, or something else depends on it
├── Forbidden              his roles do not let him: exit status 1
├── DatabaseError          the database cannot be used: exit status 1
├── NotRunning             the command needs the running server: exit status 1
└── Overloaded             a bounded queue is full; try again
"""

from __future__ import annotations

from gatelink.exceptions import GatelinkError, InputError


class NotFound(InputError):
    """What a person names does not exist."""


class Conflict(InputError):
    """It exists already, or something else depends on it."""


class Forbidden(GatelinkError):
    """The actor's roles do not allow it, where he may see it."""


class DatabaseError(GatelinkError):
    """The database cannot be used."""


class NotRunning(GatelinkError):
    """The command needs the running server."""


class Overloaded(GatelinkError):
    """A bounded queue is full."""

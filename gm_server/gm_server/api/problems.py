"""What went wrong, as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from gatelink.exceptions import GatelinkError, InputError, Refused
from gm_server.exceptions import Conflict, DatabaseError, Forbidden, NotFound, Overloaded

MEDIA_TYPE: Final = "application/problem+json"
_STATUSES: Final[Mapping[type[GatelinkError], int]] = {
    NotFound: 404,
    Conflict: 409,
    Forbidden: 403,
    InputError: 422,
    Refused: 409,
    DatabaseError: 503,
    Overloaded: 503,
}


class Problem(msgspec.Struct, frozen=True):
    """An error, for programs (``status``) and people (``detail``)."""

    type: str
    """Always ``about:blank``: the status says what kind it is."""
    title: str
    status: int
    detail: str


class HttpError(Exception):
    """An error that HTTP has a status for."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer of an error."""
    body = Problem("about:blank", HTTPStatus(status).phrase, status, detail)
    return Response(msgspec.json.encode(body), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def problem_of(error: GatelinkError) -> Response:
    """Return the answer of an error of ours."""
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)
    return problem(status, str(error))

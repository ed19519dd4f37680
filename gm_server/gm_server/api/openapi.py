"""The description of the API (OpenAPI 3.1), made from the tables that are served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec

from gm_server import __version__

from .endpoints import Endpoint
from .problems import MEDIA_TYPE, Problem
from .reading import FILE_TYPE
from .resources import ENDPOINTS

BASE: Final = "/api/v1"
_NAME: Final = re.compile(r"{(\w+)}")
_FILE: Final[dict[str, Any]] = {"type": "string", "contentMediaType": FILE_TYPE}
_DESCRIPTION: Final = """\
Everything that administrators do in the portal, for programs. A token (`Authorization: Bearer glt_…`) acts for the user
who made it, within its scopes; what its user may not see does not exist for it.

Times are Unix seconds, sizes bytes. Lists come in pages: ask again with `cursor` set to `next` until that is null.
Errors are `application/problem+json` (RFC 9457). What can be changed carries an `ETag`; with `If-Match` a change is
made only if nobody else changed it meanwhile."""


@cache
def document() -> dict[str, Any]:
    """Return the whole description."""
    types = [kind for endpoint in ENDPOINTS for kind in (endpoint.body, endpoint.answer) if kind is not None]
    _, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    _let_repeat(components)
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(BASE + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gatelink GateManager",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in dict.fromkeys(endpoint.tag for endpoint in ENDPOINTS)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An API token, made under 'My account'."}
            },
            "responses": {
                str(int(status)): {
                    "description": text,
                    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
                for status, text in _PROBLEMS.items()
            },
        },
    }


_PROBLEMS: Final = {
    HTTPStatus.BAD_REQUEST: "The parameters or the body are not as described.",
    HTTPStatus.UNAUTHORIZED: "There is no token, or it is unknown, over or revoked.",
    HTTPStatus.FORBIDDEN: "The token's scopes, or its user's roles, do not allow it.",
    HTTPStatus.NOT_FOUND: "It does not exist, or the token's user may not see it.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The address does not have this method; `Allow` says which it has.",
    HTTPStatus.REQUEST_TIMEOUT: "The body took longer than is allowed.",
    HTTPStatus.CONFLICT: "It exists already, or something else depends on it.",
    HTTPStatus.PRECONDITION_FAILED: "Somebody changed it meanwhile: read it again.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too long.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not of the type application/json.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Well formed, but it cannot be.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests; `Retry-After` says when to go on.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The records cannot be used at the moment.",
}


def _let_repeat(schema: Any) -> None:
    """What is a set here may be said twice."""
    if isinstance(schema, dict):
        schema.pop("uniqueItems", None)
        for part in schema.values():
            _let_repeat(part)
    elif isinstance(schema, list):
        for part in schema:
            _let_repeat(part)


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": f"Needs the scope `{endpoint.scope}`.",
        "tags": [endpoint.tag],
        "parameters": list(_parameters(endpoint)),
        "responses": {str(endpoint.status): _success(endpoint), **_failures(endpoint)},
    }
    if endpoint.body is not None:
        schema = _schema(endpoint.body)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if endpoint.admit is not None:
        operation["requestBody"] = {"required": True, "content": {FILE_TYPE: {"schema": _FILE}}}
    return operation


def _parameters(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    for name in _NAME.findall(endpoint.path):
        schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_-]+$"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    [[root], parts] = msgspec.json.schema_components([endpoint.query], ref_template="{name}")
    for name, schema in parts[root["$ref"]]["properties"].items():
        yield {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
    if endpoint.current is not None:
        text = "The `ETag` of what was read: only that is changed."
        yield {"name": "If-Match", "in": "header", "required": False, "description": text, "schema": {"type": "string"}}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What is not given is not there: a parameter has no null."""
    schema = {key: value for key, value in schema.items() if key != "default" or value is not None}
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    if "anyOf" in schema:
        kinds = [kind for kind in schema.pop("anyOf") if kind != {"type": "null"}]
        schema |= kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return schema


def _success(endpoint: Endpoint) -> dict[str, Any]:
    headers = {}
    if endpoint.created:
        headers["Location"] = {"description": "Address of what was made.", "schema": {"type": "string"}}
    if endpoint.is_tagged:
        headers["ETag"] = {"description": "For `If-Match`.", "schema": {"type": "string"}}
    answer: dict[str, Any] = {"description": HTTPStatus(endpoint.status).phrase}
    if headers:
        answer["headers"] = headers
    if endpoint.file:
        answer["content"] = {kind: {"schema": {"type": "string"}} for kind in endpoint.file}
    if endpoint.answer is not None:
        answer["content"] = {"application/json": {"schema": _schema(endpoint.answer)}}
    return answer


def _failures(endpoint: Endpoint) -> dict[str, Any]:
    statuses = [400, 401, 403, 404, 422, 429, 503]
    if endpoint.writes:
        statuses.append(409)
    if endpoint.current is not None:
        statuses.append(412)
    if endpoint.body is not None:
        statuses += [413, 415]
    if endpoint.admit is not None:
        statuses += [408, 415]
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def _schema(kind: Any) -> dict[str, Any]:
    [schema], _ = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    return schema


def by_tag() -> dict[str, Sequence[Endpoint]]:
    """Return the endpoints as people look for them."""
    found: dict[str, list[Endpoint]] = {}
    for endpoint in ENDPOINTS:
        found.setdefault(endpoint.tag, []).append(endpoint)
    return dict(found)

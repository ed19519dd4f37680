"""Makes typed values of what programs send. Parses what strangers send: every size is bounded."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request

from .problems import HttpError

MAX_BODY_BYTES: Final = 256 * 1024
"""A security limit: bodies are held in memory."""
MAX_TAGS: Final = 16
FILE_TYPE: Final = "application/octet-stream"


def read_query(request: Request, kind: type[msgspec.Struct]) -> Any:
    """Return the parameters; raises HttpError (400)."""
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise HttpError(400, f"the parameter {name[:60]} is there twice")
        values[name] = value
    try:
        read = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise HttpError(400, f"the parameters are wrong: {error}") from None
    for name in values:
        if getattr(read, name) is None:
            raise HttpError(400, f"the parameter {name} cannot be null: leave it out")
    return read


async def read_body(request: Request, kind: Any) -> Any:
    """Return the body; raises HttpError (400, 413, 415)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HttpError(415, "expected a body of the type application/json")
    data = bytearray()
    try:
        async for piece in request.stream():
            data += piece
            if len(data) > MAX_BODY_BYTES:
                raise HttpError(413, f"a body can have {MAX_BODY_BYTES} bytes")
    except ClientDisconnect:
        raise HttpError(400, "the body did not come") from None
    try:
        return msgspec.convert(_whole(msgspec.json.decode(bytes(data))), kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, f"the body is wrong: {error}") from None


def check_is_file(request: Request) -> None:
    """Raise HttpError (415) unless the body is a file as it is."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FILE_TYPE:
        raise HttpError(415, f"expected a body of the type {FILE_TYPE}")


def _whole(value: Any) -> Any:
    """Make integers of whole numbers that are written with a point: in JSON 3.0 is one."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return value


def bearer_secret(request: Request) -> str:
    """Return the token of a request; raises HttpError (401)."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not 0 < len(secret.strip()) <= 200:
        raise unauthorized("this needs an API token: Authorization: Bearer glt_...")
    return secret.strip()


def unauthorized(detail: str) -> HttpError:
    """Return the error of who is not known."""
    return HttpError(401, detail, {"WWW-Authenticate": 'Bearer realm="Gatelink"'})


def read_tags(request: Request) -> tuple[str, ...] | None:
    """Return the entity tags of ``If-Match``; None: there is no such header, or it matches everything."""
    header = request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    tags = tuple(tag.strip() for tag in header.split(","))
    if len(tags) > MAX_TAGS:
        raise HttpError(400, f"If-Match can name {MAX_TAGS} tags")
    return tags

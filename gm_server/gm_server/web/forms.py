"""Forms that browsers send: read within bounds, and only when they come from a page of ours."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec
from starlette.requests import Request

from gatelink.exceptions import InputError
from gm_server.exceptions import Forbidden

MAX_BODY_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 1000
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf"
T = TypeVar("T")
_KIND: Final = "application/x-www-form-urlencoded"


class Form:
    """What was typed: fields by name, a name may come several times."""

    def __init__(self, fields: list[tuple[str, str]] | None = None) -> None:
        self._fields = fields or []

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self._fields)

    def __iter__(self) -> Iterator[str]:
        return iter({key: None for key, _ in self._fields})

    def text(self, name: str, default: str = "") -> str:
        """Return a field without outer spaces."""
        return next((value.strip() for key, value in self._fields if key == name), default)

    def raw(self, name: str) -> str:
        """Return a field exactly as it came: a password."""
        return next((value for key, value in self._fields if key == name), "")

    def all(self, name: str) -> list[str]:
        """Return every value of a field that is not empty."""
        return [value.strip() for key, value in self._fields if key == name and value.strip()]

    def flag(self, name: str) -> bool:
        """Whether a box is ticked."""
        return bool(self.text(name))

    def number(self, name: str, what: str) -> int | None:
        """Return a whole number, None if the field is empty; raises InputError."""
        text = self.text(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 12):
            raise InputError(f"{what} must be a whole number, got {text[:40]!r}")
        return int(text)


async def read_form(request: Request) -> Form:
    """Return the form in a request's body; raises InputError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
        raise InputError(f"expected a form ({_KIND})")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise InputError(f"a form can have {MAX_BODY_BYTES // 1024} KiB")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise InputError("the form cannot be read") from None
    return Form(fields)


def csrf_token(secret: bytes) -> str:
    """Return what every form of a web session carries; other sites cannot know it."""
    return hmac.new(secret, b"gatelink csrf", hashlib.sha256).hexdigest()


def check_csrf(request: Request, form: Form, secret: bytes) -> None:
    """Raise Forbidden unless the form comes from a page that we gave to this very session."""
    check_origin(request)
    given = form.raw(CSRF_FIELD) or request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), csrf_token(secret).encode()):
        raise Forbidden("this form is not of your session any more: open the page again, and send it from there")


def check_origin(request: Request) -> None:
    """Raise Forbidden if the browser says that another site sent this."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    if site not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    ):
        raise Forbidden("this was sent from another site")


def convert(fields: Mapping[str, Any], kind: type[T]) -> T:
    """Return an act's argument made of what was typed; raises InputError that names the field."""
    try:
        return msgspec.convert(fields, type=kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`").replace("_", " ")
        raise InputError(f"{field}: {text[:1].lower()}{text[1:]}" if field else text) from None

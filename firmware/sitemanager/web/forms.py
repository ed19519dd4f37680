"""Reads what people typed into forms. Parses what strangers send: bounded in size and number of fields."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BODY_BYTES: Final = 192 * 1024
"""A configuration of 64 KiB, each character escaped."""
MOST_FIELDS: Final = 300


class Form:
    """Fields of one form. A field that is not there reads as empty."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """Return a field without the white space around it."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """Return a field as it was typed: a password."""
        return next((value for key, value in self._fields if key == name), "")

    def all(self, name: str) -> list[str]:
        """Return every field of this name."""
        return [value.strip() for key, value in self._fields if key == name]

    def is_on(self, name: str) -> bool:
        """Return whether a box is ticked."""
        return bool(self.raw(name))

    def number(self, name: str) -> int | str:
        """Return a number; what is none is left as it is, for the daemon to complain about."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


async def read_form(request: Request) -> Form:
    """Return the form in a request; answers 413 or 415 to what is none."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="replace")
    except ValueError:
        raise HTTPException(400) from None
    return Form(fields)

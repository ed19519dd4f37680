"""What a browser sends: one small form, in one of the two ways without files; or the pixels of a picture."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request

from gatelink.exceptions import InputError
from lm_client.pictures import MAX_PIXELS, Picture

MAX_FORM_BYTES: Final = 256 * 1024
"""A certificate file in base64 is the largest thing. A security limit."""
_MAX_FIELDS: Final = 600
_TIMEOUT_S: Final = 10.0


class Form:
    """Fields by name."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str, max_characters: int = 512) -> str:
        """Return a field without blanks around it; empty if it is not there. Raises InputError if it is too long."""
        value = self._fields.get(name, [""])[-1].strip()
        if len(value) > max_characters:
            raise InputError(f"{name}: {len(value)} characters; at most {max_characters} fit")
        return value

    def secret(self, name: str) -> str:
        """Return a password as it was typed."""
        return self._fields.get(name, [""])[-1][:1024]

    def every(self, name: str) -> tuple[str, ...]:
        """Return every value of a field."""
        return tuple(self._fields.get(name, []))

    def has(self, name: str) -> bool:
        """Whether a field is there at all."""
        return name in self._fields

    def is_on(self, name: str) -> bool:
        """Whether a box was ticked."""
        return name in self._fields


async def read_form(request: Request) -> Form:
    """Read the body. Raises InputError for what is no form of ours."""
    data = await _body(request, MAX_FORM_BYTES, "form")
    try:
        return Form(parse_qs(data.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise InputError("the browser sent something that is no form") from None


async def read_pixels(request: Request) -> Picture:
    """Read the brightness of a picture's pixels. Raises InputError."""
    width, height = (request.query_params.get(name, "") for name in ("width", "height"))
    if not all(number.isascii() and number.isdecimal() and len(number) < 6 for number in (width, height)):
        raise InputError("the browser sent a picture without its size")
    return Picture(int(width), int(height), bytes(await _body(request, MAX_PIXELS, "picture")))


async def _body(request: Request, most_bytes: int, what: str) -> bytearray:
    data = bytearray()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most_bytes:
                    raise InputError(f"a {what} of more than {most_bytes} bytes")
    except TimeoutError:
        raise InputError(f"the browser did not finish the {what}") from None
    return data

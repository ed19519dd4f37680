"""Any web service: method, address, headers and body are a template of the administrator's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote, quote_plus

import httpx
import msgspec

from gatelink.exceptions import GatelinkError

from .settings import HttpProvider

TIMEOUT_S: Final = 15.0
_MAX_ANSWER_BYTES: Final = 64 * 1024


async def send_by_http(provider: HttpProvider, recipient: str, text: str) -> None:
    """Send one message; raises GatelinkError, which never holds what the service answered or our secret."""
    values = {"to": recipient, "to_digits": recipient.removeprefix("+"), "text": text, "secret": provider.secret}
    headers = {name: _fill(value, values, str) for name, value in provider.headers.items()}
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    url = _fill(provider.url, values, lambda value: quote(value, safe=""))
    body = _fill(provider.body, values, _quoting(kind)).encode()
    try:
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
            client.stream(provider.method, url, headers=headers, content=body or None) as response,
        ):
            answer = b""
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > _MAX_ANSWER_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise GatelinkError(f"{provider.name} cannot be reached ({type(error).__name__})") from None
    if not response.is_success:
        raise GatelinkError(f"{provider.name} answered with the status {response.status_code}")
    if provider.expect and provider.expect.encode() not in answer:
        raise GatelinkError(f"{provider.name} answered something else than was expected")


def _quoting(kind: str) -> Callable[[str], str]:
    """Return how values are written into a body of this kind."""
    if "json" in kind:
        return lambda value: msgspec.json.encode(value).decode()[1:-1]
    if "urlencoded" in kind:
        return quote_plus
    if "xml" in kind:
        return lambda value: value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return str


def _fill(template: str, values: dict[str, str], write: Callable[[str], str]) -> str:
    """Put values in, each once: what a value holds is no template."""
    pieces: list[str] = []
    rest = template
    while rest:
        before, brace, behind = rest.partition("{")
        pieces.append(before)
        name, closed, after = behind.partition("}")
        if brace and closed and name in values:
            pieces.append(write(values[name]))
            rest = after
        else:
            pieces.append(brace)
            rest = behind
    return "".join(pieces)

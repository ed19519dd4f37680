"""Answers plain HTTP with the way to HTTPS. Parses what strangers send; no I/O.

The answer goes to the host that was asked for only if it is one of our own addresses, else to the first of them: the
GateManager never sends anybody elsewhere. An ACME authority's challenges are answered here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

MAX_REQUEST_BYTES: Final = 8 * 1024
"""Request line and headers. A security limit."""
_MAX_TARGET_BYTES: Final = 2 * 1024


def answer(
    request: bytes,
    addresses: Sequence[str],
    own: Collection[str] = (),
    known: Callable[[str], str | None] = lambda _target: None,
) -> bytes | None:
    """Return the whole response to the head of a request, or None while the head is incomplete.

    ``addresses`` are the configured ones, best first; ``own`` further ones under which this connection reached us;
    ``known`` returns what stands at a path (of an ACME authority's challenge), or None.
    """
    head, end, _ = request.partition(b"\r\n\r\n")
    if not end:
        return _plain("431 Request Header Fields Too Large") if len(request) >= MAX_REQUEST_BYTES else None
    line, *headers = head.split(b"\r\n")
    words = line.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not words[0].isalpha():
        return _plain("400 Bad Request")
    hosts = [value for name, _, value in (header.partition(b":") for header in headers) if name.lower() == b"host"]
    if len(hosts) > 1 or not _is_visible(words[1]):
        return _plain("400 Bad Request")
    target = words[1].decode("ascii") if words[1].startswith(b"/") else "/"
    if len(target) > _MAX_TARGET_BYTES:
        return _plain("414 URI Too Long")
    text = known(target) if words[0] == b"GET" else None
    if text is not None:
        return _plain("200 OK", body=text)
    authority = _authority(hosts[0].strip() if hosts else b"", addresses, own)
    return _plain("308 Permanent Redirect", f"Location: https://{authority}{target}\r\n")


def _authority(host: bytes, addresses: Sequence[str], own: Collection[str]) -> str:
    """Return host and port to send the browser to; every port of ours speaks HTTPS, port 80 asks for the usual one."""
    text = host.decode("ascii", "replace").lower()
    name, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5):
        name, port = text, ""
    bare = name.removeprefix("[").removesuffix("]")
    if bare not in {address.lower() for address in (*addresses, *own)}:
        bare, port = addresses[0], ""
    shown = f"[{bare}]" if ":" in bare else bare
    return shown if port in ("", "80", "443") else f"{shown}:{port}"


def _plain(status: str, header: str = "", body: str = "") -> bytes:
    body = body or f"{status}\n"
    return (
        f"HTTP/1.1 {status}\r\n{header}Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    ).encode()


def _is_visible(target: bytes) -> bool:
    return bool(target) and all(0x21 <= byte <= 0x7E for byte in target)

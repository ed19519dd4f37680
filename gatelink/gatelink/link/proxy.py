"""HTTP CONNECT with basic authentication, client side. Parses what a proxy sends; no I/O.

RFC 9110 section 9.3.6 (CONNECT) and RFC 7617 (Basic). Only the status line of the answer matters.
"""

from __future__ import annotations

import base64
from typing import Final

from gatelink.exceptions import LinkError

from .endpoints import Endpoint, Proxy

MAX_ANSWER_BYTES: Final = 8 * 1024
"""Status line and headers of the proxy's answer. A security limit."""


def connect_request(endpoint: Endpoint, proxy: Proxy) -> bytes:
    """Return the request that opens a tunnel to ``endpoint``."""
    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    lines = [f"CONNECT {host}:{endpoint.port} HTTP/1.1", f"Host: {host}:{endpoint.port}"]
    if proxy.username:
        credentials = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    return "\r\n".join([*lines, "", ""]).encode()


def check_answer(data: bytes, proxy: Proxy) -> bool:
    """Return True when the tunnel is open, False while the answer is incomplete.

    Raises LinkError that says what the proxy answered.
    """
    where = f"the proxy {proxy.host}:{proxy.port}"
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        if len(data) > MAX_ANSWER_BYTES:
            raise LinkError(f"{where} sent an answer of more than {MAX_ANSWER_BYTES} bytes")
        return False
    status = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or not status[1].isdigit():
        raise LinkError(f"{where} does not speak HTTP; check its address and port")
    code = int(status[1])
    # 401 is a web server's word, but tinyproxy says it for a wrong password.
    if code in (401, 407):
        known = "refused the user name and password" if proxy.username else "asks for a user name and password"
        raise LinkError(f"{where} {known} ({code})")
    if not 200 <= code < 300:
        raise LinkError(f"{where} refused to connect ({code}); it must allow CONNECT to the GateManager's port")
    if rest:
        raise LinkError(f"{where} sent data before the GateManager could")
    return True

"""The rescue page: plain HTTP on the machine's side when CPython cannot run. State, log, the other slot, factory state.

Parses what strangers send: one request at a time, 4 KiB of head at most, 10 s. No password can be checked here, so it
answers only at the machine (the firewall and the address it binds to), only while the daemon cannot run, and nothing it
does reads or weakens a secret.
"""

import socket

MAX_HEAD_BYTES = 4096
TIMEOUT_S = 10
_FRAME = """<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<title>Gatelink rescue</title><style>body{font:16px sans-serif;max-width:44em;margin:2em auto;padding:0 1em}
pre{background:#eee;padding:1em;overflow:auto}button{font:inherit;padding:.5em 1em;margin:.3em 0}</style>
<h1>Gatelink rescue</h1>%s</html>"""
ACTIONS = {
    "restart": "Start this gateway anew",
    "other-slot": "Start the previous system",
    "factory": "Restore the factory configuration (forgets the GateManager)",
}


def request_line(head: bytes) -> tuple[str, str]:
    """Return method and path of a request's head; empty strings if it is none."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return "", ""
    try:
        return words[0].decode(), words[1].decode()
    except UnicodeError:
        return "", ""


def escaped(text: str) -> str:
    """Return text as it can stand in HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def page(state: dict[str, str], log: str) -> str:
    """Return the page."""
    rows = "".join("<tr><th align=left>" + escaped(name) + "<td>" + escaped(value) for name, value in state.items())
    forms = "".join(
        "<form method=post action=/" + name + "><button>" + escaped(words) + "</button></form>"
        for name, words in ACTIONS.items()
    )
    words = "<p>The SiteManager cannot run. Remote access is off; nothing of its configuration is lost.</p>"
    return _FRAME % (words + "<table>" + rows + "</table>" + forms + "<h2>Log</h2><pre>" + escaped(log) + "</pre>")


def answer(head: bytes, state: dict[str, str], log: str) -> tuple[bytes, str]:
    """Return the response to a request's head, and the action that was asked for or an empty string."""
    method, path = request_line(head)
    if method == "GET" and path == "/":
        return _response("200 OK", page(state, log)), ""
    if method == "POST" and path[1:] in ACTIONS and _is_own(head):
        return _response("200 OK", _FRAME % "<p>It is being done; the gateway starts anew.</p>"), path[1:]
    return _response("404 Not Found", _FRAME % "<p>There is nothing here.</p>"), ""


def _is_own(head: bytes) -> bool:
    """Whether a form was sent by this page: browsers name the page's origin, and another one's is refused."""
    fields = {}
    for row in head.split(b"\r\n")[1:]:
        name, _, value = row.partition(b":")
        fields[name.strip().lower()] = value.strip()
    return b"origin" not in fields or fields[b"origin"] == b"http://" + fields.get(b"host", b"")


def _response(status: str, body: str) -> bytes:
    data = body.encode()
    head = "HTTP/1.1 " + status + "\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: " + str(len(data))
    return (head + "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n").encode() + data


class Server:
    """Listens; ``poll`` serves at most one visitor."""

    def __init__(self, address: str, port: int = 80) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(socket.getaddrinfo(address, port)[0][-1])
        self._socket.listen(4)
        self._socket.setblocking(False)

    def poll(self, state: dict[str, str], log: str) -> str:
        """Serve a visitor if there is one; the action that he asked for, or an empty string."""
        try:
            visitor = self._socket.accept()[0]
        except OSError:
            return ""
        try:
            visitor.settimeout(TIMEOUT_S)
            head = b""
            while b"\r\n\r\n" not in head and len(head) < MAX_HEAD_BYTES:
                piece = visitor.recv(1024)
                if not piece:
                    break
                head += piece
            response, action = answer(head, state, log)
            while response:
                response = response[visitor.send(response) :]
        except OSError:
            return ""
        finally:
            visitor.close()
        return action

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

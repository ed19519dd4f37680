"""Program: a TLS server that answers for whoever it was asked for, and tells everything that it gets.

Usage: python -m lab.mitm_program PORT CERTIFICATE KEY [--forward] [--authorities FILE] [--greeting HEX]

Says "listens", then one JSON object a line: {"conversation": 1, "event": "hello" | "handshake" | "received" |
"answered" | "ended", ...}, bytes in hexadecimal. One thread a conversation: it serves tests, not crowds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import select
import socket
import ssl
import struct
import sys
import threading
from typing import Any

_SO_ORIGINAL_DST = 80
_TIMEOUT_S = 60.0
_SERVER_NAME, _ALPN = 0, 16
_saying = threading.Lock()


def say(conversation: int, event: str, **details: Any) -> None:
    """One event, as a line."""
    line = json.dumps({"conversation": conversation, "event": event, **details}, separators=(",", ":"))
    with _saying:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def original_target(connection: socket.socket) -> tuple[str, int]:
    """Where the client wanted to go, before the firewall led it here."""
    port, packed = struct.unpack_from("!2xH4s", connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16))
    return socket.inet_ntoa(packed), port


def peek_hello(connection: socket.socket) -> tuple[str | None, list[str]]:
    """Server name and ALPN names that the client offers; the bytes stay in the socket. Empty if it is not TLS."""
    length = 5
    while True:
        record = connection.recv(length, socket.MSG_PEEK | socket.MSG_WAITALL)
        if len(record) < length or record[0] != 22:
            return None, []
        if length > 5:
            return _offers(_extensions(record))
        length += int.from_bytes(record[3:5], "big")


def _extensions(record: bytes) -> dict[int, bytes]:
    """RFC 8446, 4.1.2: behind version and random come session id, cipher suites, compression, extensions."""
    at = 5 + 4 + 2 + 32
    at += 1 + record[at]
    at += 2 + int.from_bytes(record[at : at + 2], "big")
    at += 1 + record[at] + 2
    found = {}
    while at + 4 <= len(record):
        kind, size = struct.unpack_from("!HH", record, at)
        found[kind] = record[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def _offers(extensions: dict[int, bytes]) -> tuple[str | None, list[str]]:
    name = extensions[_SERVER_NAME][5:].decode() if _SERVER_NAME in extensions else None
    rest, offered = extensions.get(_ALPN, b"")[2:], []
    while rest:
        offered.append(rest[1 : 1 + rest[0]].decode())
        rest = rest[1 + rest[0] :]
    return name, offered


def serve(number: int, plain: socket.socket, arguments: argparse.Namespace) -> None:
    """One conversation, to its end."""
    why = "closed"
    try:
        with plain:
            plain.settimeout(_TIMEOUT_S)
            target = original_target(plain)
            name, offered = peek_hello(plain)
            say(number, "hello", target=f"{target[0]}:{target[1]}", server_name=name, offered=offered)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(arguments.certificate, arguments.key)
            context.set_alpn_protocols(offered)
            if arguments.authorities:
                context.verify_mode = ssl.CERT_OPTIONAL
                context.load_verify_locations(arguments.authorities)
            with context.wrap_socket(plain, server_side=True) as client:
                shown = client.getpeercert(binary_form=True) or b""
                say(number, "handshake", alpn=client.selected_alpn_protocol(), certificate=shown.hex())
                if arguments.greeting:
                    client.sendall(bytes.fromhex(arguments.greeting))
                if not arguments.forward:
                    _carry(number, client, None)
                    return
                with _connect(target, client) as gm:
                    _carry(number, client, gm)
    except OSError as error:
        why = str(error)
    finally:
        say(number, "ended", why=why)


def _connect(target: tuple[str, int], client: ssl.SSLSocket) -> ssl.SSLSocket:
    """TLS with the real GM, with the names that the client used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn := client.selected_alpn_protocol():
        context.set_alpn_protocols([alpn])
    return context.wrap_socket(socket.create_connection(target, _TIMEOUT_S), server_hostname=target[0])


def _carry(number: int, client: ssl.SSLSocket, gm: ssl.SSLSocket | None) -> None:
    """Tell, and hand on, what either side sends, until one of them ends."""
    ends = [client] if gm is None else [client, gm]
    while True:
        for source in [end for end in ends if end.pending()] or select.select(ends, [], [], _TIMEOUT_S)[0]:
            source.setblocking(False)
            try:
                data = source.recv(65536)
            except ssl.SSLWantReadError:  # a record of TLS itself, such as a session ticket
                continue
            finally:
                source.settimeout(_TIMEOUT_S)
            if not data:
                return
            say(number, "received" if source is client else "answered", data=data.hex())
            if gm is not None:
                (gm if source is client else client).sendall(data)


def main() -> None:
    """Run until ended."""
    parser = argparse.ArgumentParser(prog="lab.mitm_program", description="a man in the middle")
    parser.add_argument("port", type=int)
    parser.add_argument("certificate")
    parser.add_argument("key")
    parser.add_argument("--forward", action="store_true", help="carry the bytes to the real GM")
    parser.add_argument("--authorities", help="ask clients for a certificate of these")
    parser.add_argument("--greeting", default="", help="bytes to say to every client after the handshake")
    arguments = parser.parse_args()
    with socket.create_server(("", arguments.port)) as listener:
        sys.stdout.write("listens\n")
        sys.stdout.flush()
        for number in itertools.count(1):
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(number, connection, arguments), daemon=True).start()


if __name__ == "__main__":
    main()

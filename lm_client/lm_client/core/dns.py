"""One DNS question and its answer (RFC 1035). Parses what any program on this PC sends; no I/O.

Only names under ``gatelink`` are known, and only their IPv4 addresses. Answers are short-lived: a session that has
ended leads nowhere, and the same name can have another address an hour later.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from .hostnames import SUFFIX

MAX_QUESTION_BYTES: Final = 512
"""RFC 1035 for UDP; EDNS adds a few bytes behind the question, which are not looked at. A security limit."""
TTL_S: Final = 5
_A, _SOA, _ANY, _IN = 1, 6, 255, 1
_NO_ERROR, _FORMAT_ERROR, _NO_SUCH_NAME, _NOT_IMPLEMENTED, _REFUSED = 0, 1, 3, 4, 5
_header: Final = struct.Struct("!6H")
_ANSWER, _AUTHORITATIVE, _RECURSION_DESIRED, _OPCODE = 0x8000, 0x0400, 0x0100, 0x7800


class Question(NamedTuple):
    """The one question of a request. ``end`` is the offset behind it."""

    number: int
    flags: int
    name: str
    kind: int
    kind_class: int
    end: int


def answer(request: bytes, addresses: Mapping[str, str]) -> bytes | None:
    """Return the answer to a request, None if it deserves none. Never raises."""
    if not _header.size <= len(request) <= MAX_QUESTION_BYTES or request[2] & 0x80:
        return None
    question = _parse(request)
    if question is None:
        number, flags = struct.unpack_from("!HH", request)
        return _header.pack(number, _ANSWER | flags & _RECURSION_DESIRED | _FORMAT_ERROR, 0, 0, 0, 0)
    if question.flags & _OPCODE:
        return _reply(request, question, _NOT_IMPLEMENTED)
    if question.name != SUFFIX and not question.name.endswith(f".{SUFFIX}"):
        return _reply(request, question, _REFUSED)
    address = addresses.get(question.name)
    if address is None:
        # A name above known ones exists, and has nothing itself (RFC 8020).
        inside = question.name == SUFFIX or any(known.endswith(f".{question.name}") for known in addresses)
        return _reply(request, question, _NO_ERROR if inside else _NO_SUCH_NAME)
    if question.kind not in (_A, _ANY) or question.kind_class not in (_IN, _ANY):
        return _reply(request, question, _NO_ERROR)
    # The name is pointed to where it stands in the question.
    record = struct.pack("!HHHIH", 0xC000 | _header.size, _A, _IN, TTL_S, 4) + IPv4Address(address).packed
    return _reply(request, question, _NO_ERROR, record)


def _reply(request: bytes, question: Question, code: int, record: bytes = b"") -> bytes:
    flags = _ANSWER | _AUTHORITATIVE | question.flags & (_RECURSION_DESIRED | _OPCODE) | code
    # No SOA in a negative answer: then nobody keeps it (RFC 2308), and a machine just connected is found at once.
    header = _header.pack(question.number, flags, 1, 1 if record else 0, 0, 0)
    return header + request[_header.size : question.end] + record


def _parse(request: bytes) -> Question | None:
    number, flags, questions, _, _, _ = _header.unpack_from(request)
    if questions != 1:
        return None
    labels: list[str] = []
    position = _header.size
    while position < len(request) and (length := request[position]):
        end = position + 1 + length
        if length > 63 or end > len(request):  # above 63 it would be a pointer, which a question does not need
            return None
        labels.append(request[position + 1 : end].decode("ascii", "replace").lower())
        position = end
    if len(request) < position + 5:
        return None
    kind, kind_class = struct.unpack_from("!HH", request, position + 1)
    return Question(number, flags, ".".join(labels), kind, kind_class, position + 5)

"""Writes the audit log out, page by page: JSON lines that can be verified offline, or CSV for spreadsheets."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.orm import Session

from gatelink.identity import Identity
from gm_server.database.tables import AuditCheckpoint
from gm_server.exceptions import Conflict

from . import reading
from .chain import FIRST
from .cuts import beginning, last_cut
from .lines import END_CONTEXT, FORMAT, CheckpointLine, CutLine, End, EntryLine, Header, LeftOut, encode
from .reading import Filter, Record

COLUMNS: Final = tuple(name for name in EntryLine.__struct_fields__ if name != "hash")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class JsonLines:
    """``pages`` until it is over: each is a piece of the file. One export; reads up to ``last``, or what was newest."""

    def __init__(
        self, identity: Identity, name: str, wanted: Filter, exported_by: str, now: float, last: int | None = None
    ) -> None:
        self._identity = identity
        self._wanted = wanted
        self._digest = hashlib.sha256()
        self._header = Header(
            format=FORMAT,
            gatemanager=name,
            certificate=identity.certificate,
            exported_at=now,
            exported_by=exported_by,
            filter=_shown(wanted),
        )
        self._last = last
        self._is_begun = False
        self._position = 0
        self._hash = FIRST
        self._entries = 0
        self._gap: tuple[int, int, bytes] | None = None
        self._is_over = False

    def page(self, session: Session) -> bytes | None:
        """Return the next piece of the file, None behind its end. Each call may have a transaction of its own."""
        if self._is_over:
            return None
        if self._last is None:
            newest = reading.head(session)
            self._last = newest[0] if newest else 0
        if not self._is_begun:
            self._is_begun = True
            return self._told(encode(self._header)) + self._cut(session)
        if beginning(session) > self._position:
            raise Conflict("the log was cut while it was exported: export it again")
        records = reading.run(session, self._position, self._last)
        if not records:
            self._is_over = True
            return self._close_gap() + self._end()
        last = records[-1].entry.number
        everything = self._wanted.is_everything
        wanted = None if everything else reading.numbers(session, self._wanted, self._position, last)
        signed = {checkpoint.number: checkpoint for checkpoint in reading.checkpoints(session, self._position, last)}
        piece = b"".join(self._piece(record, wanted, signed.get(record.entry.number)) for record in records)
        self._position = last
        return piece

    def _cut(self, session: Session) -> bytes:
        cut = last_cut(session)
        if cut is None:
            return b""
        self._position, self._hash = cut.number, cut.hash
        return self._told(encode(CutLine(number=cut.number, at=cut.at, hash=cut.hash.hex(), signature=cut.signature)))

    def _piece(self, record: Record, wanted: frozenset[int] | None, signed: AuditCheckpoint | None) -> bytes:
        number = record.entry.number
        self._hash = record.hash
        piece = b""
        if wanted is not None and number not in wanted:
            first = self._gap[0] if self._gap else number
            self._gap = (first, number, record.hash)
        else:
            piece = self._close_gap()
            self._entries += 1
            fields = msgspec.structs.asdict(record.entry)
            piece += self._told(encode(EntryLine(**fields, hash=record.hash.hex())))
        if signed is not None:
            piece += self._close_gap() + self._told(
                encode(
                    CheckpointLine(
                        number=number,
                        at=signed.at,
                        hash=signed.hash.hex(),
                        key_sha256=signed.key_sha256.hex(),
                        signature=signed.signature,
                    )
                )
            )
        return piece

    def _close_gap(self) -> bytes:
        if self._gap is None:
            return b""
        first, last, digest = self._gap
        self._gap = None
        return self._told(encode(LeftOut(first=first, last=last, hash=digest.hex())))

    def _end(self) -> bytes:
        digest = self._digest.digest()
        signature = self._identity.key.sign(END_CONTEXT + digest, ec.ECDSA(hashes.SHA256()))
        return encode(
            End(
                entries=self._entries,
                number=self._position,
                hash=self._hash.hex(),
                sha256=digest.hex(),
                signature=signature,
            )
        )

    def _told(self, line: bytes) -> bytes:
        self._digest.update(line)
        return line


class Csv:
    """A table for people; the signatures are in the JSON lines alone."""

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._last: int | None = None
        self._position = 0

    def page(self, session: Session) -> bytes | None:
        """Return the next piece of the file, None behind its end."""
        if self._last is None:
            newest = reading.head(session)
            self._last = newest[0] if newest else 0
            self._position = beginning(session)
            return _table([COLUMNS])
        records = reading.run(session, self._position, self._last)
        if not records:
            return None
        last = records[-1].entry.number
        wanted = reading.numbers(session, self._wanted, self._position, last)
        self._position = last
        return _table(list(self._rows(records, wanted)))

    @staticmethod
    def _rows(records: Sequence[Record], wanted: frozenset[int]) -> Iterator[tuple[str, ...]]:
        for record in records:
            if record.entry.number in wanted:
                fields = msgspec.structs.asdict(record.entry)
                fields["details"] = msgspec.json.encode(record.entry.details, order="sorted").decode()
                yield tuple(_cell(str(fields[name])) for name in COLUMNS)


def _table(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(text: str) -> str:
    """A cell that a spreadsheet shows and never calculates (OWASP, CSV injection)."""
    return "'" + text if text.startswith(_FORMULA) else text


def _shown(wanted: Filter) -> dict[str, str | float | None]:
    fields = msgspec.structs.asdict(wanted)
    domains = fields.pop("domains")
    shown: dict[str, str | float | None] = {name: value for name, value in fields.items() if value not in ("", None)}
    if domains is not None:
        shown["domains"] = ", ".join(domains)
    return shown

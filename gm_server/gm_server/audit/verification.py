"""Verifies an exported audit log offline: finds what was changed, removed, inserted, moved or cut off. No I/O.

Reads a file that may come from anybody: nothing of it is believed before the signature of its end was checked against a
key that the reader knows from elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from gatelink.exceptions import InputError, ProtocolError
from gatelink.identity import key_sha256, public_key_of

from .chain import FIRST, Entry, entry_hash
from .checkpoints import is_signed
from .cuts import is_cut_signed
from .lines import END_CONTEXT, FORMAT, CheckpointLine, CutLine, End, EntryLine, Header, LeftOut, lines

MAX_LINE_BYTES: Final = 1 << 20
MAX_FINDINGS: Final = 20


class Report(msgspec.Struct, kw_only=True):
    """What a verification found. The file is good if ``findings`` is empty and ``key_sha256`` is the right key."""

    findings: list[str]
    entries: int = 0
    left_out: int = 0
    first: int = 0
    last: int = 0
    begins_behind: int = 0
    """The entry behind which the log begins; 0: with its first."""
    begin_hash: bytes = FIRST
    end_hash: bytes = FIRST
    checkpoints: int = 0
    """That this file's key signed and that fit."""
    other_checkpoints: int = 0
    """Of earlier keys; the later signatures cover what they covered."""
    gatemanager: str = ""
    exported_at: float = 0
    key_sha256: bytes = b""
    """Of the key that signed the file."""


class Verification:
    """Takes the file line by line; ``finish`` returns the report."""

    def __init__(self) -> None:
        self._report = Report(findings=[])
        self._digest = hashlib.sha256()
        self._header: Header | None = None
        self._number = 0
        self._hash = FIRST
        self._is_certain = True
        """False once the chain broke: what follows is compared with the file's own hashes."""
        self._end: End | None = None

    def line(self, text: bytes) -> None:
        """Take one line with its end; raises InputError if the file is no exported audit log at all."""
        if self._end is not None:
            self._find("something was appended behind the end of the file")
            return
        try:
            parsed = lines.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if self._header is None:
                raise InputError(
                    "this is no exported audit log: expected the JSON lines of `gm audit export` (CSV is for "
                    "spreadsheets and holds no signatures)"
                ) from None
            self._find(f"the line behind entry {self._number} cannot be read: it was changed or cut off")
            self._digest.update(text)
            return
        if self._header is None and not isinstance(parsed, Header):
            raise InputError(
                "the file does not begin with the header of an exported audit log: its beginning is missing"
            )
        match parsed:
            case Header():
                self._take_header(parsed)
            case CutLine():
                self._take_cut(parsed)
            case EntryLine():
                self._take_entry(parsed)
            case LeftOut():
                self._take_gap(parsed)
            case CheckpointLine():
                self._take_checkpoint(parsed)
            case End():
                self._take_end(parsed)
                return
        self._digest.update(text)

    def finish(self) -> Report:
        """Return what was found."""
        if self._header is None:
            raise InputError("the file is empty: expected the JSON lines of `gm audit export`")
        if self._end is None:
            self._find(f"the file was cut off behind entry {self._number}: its signed end is missing")
        self._report.last, self._report.end_hash = self._number, self._hash
        return self._report

    def _take_header(self, header: Header) -> None:
        if self._header is not None:
            self._find("a second header stands in the middle of the file")
            return
        if header.format != FORMAT:
            raise InputError(f"expected an audit log of the form {FORMAT}, got {header.format[:40]!r}")
        try:
            self._report.key_sha256 = key_sha256(header.certificate)
        except ProtocolError as error:
            raise InputError(f"the file's certificate cannot be read: {error}") from None
        self._header = header
        self._report.gatemanager = header.gatemanager
        self._report.exported_at = header.exported_at

    def _take_cut(self, line: CutLine) -> None:
        if self._number or self._report.begins_behind:
            self._find(f"a second beginning stands behind entry {self._number}: the line was moved or inserted")
            return
        self._go_on(line.number, line.hash)
        self._report.begins_behind, self._report.begin_hash = self._number, self._hash
        if self._header is None or not is_cut_signed(
            self._header.certificate, line.number, line.at, self._hash, line.signature
        ):
            self._find(f"that the log begins behind entry {line.number} is not signed: older entries were removed")

    def _take_entry(self, line: EntryLine) -> None:
        self._follow(line.number, line.number)
        fields = {name: getattr(line, name) for name in Entry.__struct_fields__}
        expected = entry_hash(self._hash, Entry(**fields)).hex()
        if expected != line.hash and self._is_certain:
            self._find(f"entry {line.number} does not follow the one before it: it was changed, inserted or moved")
        self._report.entries += 1
        self._report.first = self._report.first or line.number
        self._go_on(line.number, line.hash)

    def _take_gap(self, line: LeftOut) -> None:
        self._follow(line.first, line.last)
        if line.last < line.first:
            self._find(f"the entries {line.first} to {line.last} are said to be left out: the line was changed")
        self._report.left_out += max(0, line.last - line.first + 1)
        self._go_on(line.last, line.hash)

    def _take_checkpoint(self, line: CheckpointLine) -> None:
        if line.number != self._number or line.hash != self._hash.hex():
            self._find(f"the checkpoint over entry {line.number} does not fit entry {self._number}")
            return
        if line.key_sha256 != self._report.key_sha256.hex():
            self._report.other_checkpoints += 1
            return
        if self._header is None or not is_signed(
            self._header.certificate, line.number, line.at, self._hash, line.signature
        ):
            self._find(f"the signature of the checkpoint over entry {line.number} is wrong")
            return
        self._report.checkpoints += 1

    def _take_end(self, line: End) -> None:
        self._end = line
        if line.number != self._number:
            self._find(f"the file ends at entry {self._number}, but was signed with {line.number}: entries are missing")
        if line.entries != self._report.entries:
            self._find(f"the file holds {self._report.entries} entries, but was signed with {line.entries}")
        if not self._is_end_signed(line):
            self._find("the signature of the whole file is wrong: it was changed after it was exported")

    def _is_end_signed(self, line: End) -> bool:
        if self._header is None:
            return False
        try:
            key = public_key_of(self._header.certificate)
            key.verify(line.signature, END_CONTEXT + self._digest.digest(), ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ProtocolError):
            return False
        return True

    def _follow(self, first: int, last: int) -> None:
        expected = self._number + 1
        if first == expected:
            return
        if first > expected:
            missing = f"entry {expected}" if first == expected + 1 else f"entries {expected} to {first - 1}"
            self._find(f"{missing} missing in front of entry {first}: removed, or moved elsewhere")
        else:
            self._find(f"entry {first} stands behind entry {self._number}: moved or inserted")
        self._is_certain = False

    def _go_on(self, number: int, digest: str) -> None:
        self._number = max(number, self._number)
        self._is_certain = True
        try:
            self._hash = bytes.fromhex(digest)
        except ValueError:
            self._find(f"the hash of entry {number} was changed")
            self._is_certain = False

    def _find(self, text: str) -> None:
        if len(self._report.findings) < MAX_FINDINGS:
            self._report.findings.append(text)


def verify(file: Iterable[bytes]) -> Report:
    """Verify a whole file, given line by line."""
    verification = Verification()
    for line in file:
        verification.line(line)
    return verification.finish()

"""What a RAUC bundle says of itself. Parses what strangers send: every size is bounded, nothing is unpacked.

A bundle in verity format is  squashfs | hash tree | CMS signature | u64 its size (big endian); the manifest is the
signed content (RAUC manual, "Bundle Formats"; CMS: RFC 5652, in DER). **The signature is not verified here**: by whose
key a gateway takes firmware is a matter of its image, and it checks that and every block before it writes anything.
What is read here is for people, who see which file they are about to roll out.
"""

from __future__ import annotations

import configparser
import struct
from typing import BinaryIO, Final

import msgspec

from gatelink.exceptions import InputError
from gm_server.names import check_text

MAX_SIGNATURE_BYTES: Final = 64 * 1024
"""RAUC's own limit."""
MAX_VERSION_CHARACTERS: Final = 128
MAX_BOARD_CHARACTERS: Final = 64
_SQUASHFS: Final = b"hsqs"
_SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")
_SEQUENCE, _INTEGER, _OCTETS, _OID, _SET, _EXPLICIT = 0x30, 0x02, 0x04, 0x06, 0x31, 0xA0
_TRAILER: Final = struct.Struct(">Q")


class BundleManifest(msgspec.Struct, frozen=True):
    """What of the manifest people and gateways ask for."""

    version: str
    board: str
    """RAUC's ``compatible``: a gateway takes no other than its own."""


def read_bundle(file: BinaryIO, size_bytes: int) -> BundleManifest:
    """Return a bundle's manifest; raises InputError."""
    if size_bytes < len(_SQUASHFS) + _TRAILER.size or file.read(len(_SQUASHFS)) != _SQUASHFS:
        raise InputError("this is no RAUC bundle: expected a file made by `make bundle` or `rauc bundle`")
    file.seek(size_bytes - _TRAILER.size)
    [signature_bytes] = _TRAILER.unpack(file.read(_TRAILER.size))
    if not 0 < signature_bytes <= min(MAX_SIGNATURE_BYTES, size_bytes - _TRAILER.size):
        raise InputError("the bundle has no signature at its end: it is cut off, or no bundle")
    file.seek(size_bytes - _TRAILER.size - signature_bytes)
    return parse_manifest(signed_content(file.read(signature_bytes)))


def signed_content(signature: bytes) -> bytes:
    """Return what a CMS signature is about; raises InputError."""
    content_info = _Reader(signature).enter(_SEQUENCE)
    if content_info.take(_OID) != _SIGNED_DATA:
        raise InputError("the bundle is encrypted or of an unknown form: expected a signed one in verity format")
    signed_data = content_info.enter(_EXPLICIT).enter(_SEQUENCE)
    signed_data.take(_INTEGER)
    signed_data.take(_SET)
    encapsulated = signed_data.enter(_SEQUENCE)
    encapsulated.take(_OID)
    if encapsulated.is_empty:
        raise InputError("the bundle is of RAUC's plain format: expected the verity format")
    return encapsulated.enter(_EXPLICIT).take(_OCTETS)


def parse_manifest(data: bytes) -> BundleManifest:
    """Return what stands in a manifest; raises InputError."""
    parser = configparser.ConfigParser(interpolation=None, default_section="", delimiters=("=",))
    try:
        parser.read_string(data.decode())
        kind = parser.get("bundle", "format", fallback="plain")
        version, board = parser.get("update", "version"), parser.get("update", "compatible")
    except (UnicodeDecodeError, configparser.Error):
        raise InputError(
            "the bundle's manifest cannot be read: expected [update] with version and compatible"
        ) from None
    if kind != "verity":
        raise InputError(f"the bundle is of the format {kind[:20]!r}: expected verity")
    if not version or not board:
        raise InputError("the bundle's manifest names no version or no board (compatible)")
    return BundleManifest(
        check_text(version, "a bundle's version", MAX_VERSION_CHARACTERS),
        check_text(board, "a bundle's board", MAX_BOARD_CHARACTERS),
    )


class _Reader:
    """Goes through DER: definite lengths only, never beyond its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._data)

    def enter(self, tag: int) -> _Reader:
        """Go into the next element."""
        return _Reader(self.take(tag))

    def take(self, tag: int) -> bytes:
        """Return what is in the next element, which must be of this kind; raises InputError."""
        head = self._data[self._at : self._at + 2]
        if len(head) < 2 or head[0] != tag:
            raise InputError("the bundle's signature cannot be read: it is damaged")
        begin, length = self._at + 2, head[1]
        if length & 0x80:
            count = length & 0x7F
            if not 0 < count <= 4:
                raise InputError("the bundle's signature cannot be read: it is not in DER")
            length = int.from_bytes(self._data[begin : begin + count], "big")
            begin += count
        if begin + length > len(self._data):
            raise InputError("the bundle's signature cannot be read: it is cut off")
        self._at = begin + length
        return self._data[begin : self._at]

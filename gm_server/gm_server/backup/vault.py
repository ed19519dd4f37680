"""An encrypted file: whoever has it without the passphrase learns nothing but its size, and can change nothing unseen.

    magic (16) | log2 N (1) | r (1) | p (1) | salt (16)          key = scrypt(passphrase, salt, N, r, p), RFC 7914
    then chunks:  u32 length | ChaCha20-Poly1305 of up to 64 KiB

The nonce of a chunk is its number and whether it is the last ("STREAM", Hoang, Reyhanitabar, Rogaway, Vizar 2015): no
chunk can be left out, moved, repeated or cut off. The key is of one file alone, so numbers may begin at 0 in each.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gatelink.exceptions import InputError

MAGIC: Final = b"gatelink-backup\x01"
CHUNK_BYTES: Final = 64 * 1024
MIN_PASSPHRASE: Final = 12
LOG2_N: Final = 17
"""128 MiB and about half a second a guess (OWASP Password Storage Cheat Sheet, 2024: N=2^17, r=8, p=1)."""
_R: Final = 8
_P: Final = 1
_MAX_LOG2_N: Final = 20
"""What a foreign file may ask of this machine: 1 GiB. A security limit."""
_HEADER: Final = struct.Struct(">16sBBB16s")
_TAG_BYTES: Final = 16
_DAMAGED: Final = "the passphrase is wrong, or the backup is damaged"


def check_passphrase(passphrase: str) -> str:
    """Return it; raises InputError if it is too short to protect the keys of every machine."""
    if len(passphrase) < MIN_PASSPHRASE or len(set(passphrase)) < 5:
        raise InputError(
            f"a backup holds every key of this server: the passphrase needs {MIN_PASSPHRASE} characters or more"
        )
    return passphrase


class VaultWriter:
    """Encrypts what is written to it into ``file``; only what was closed can be read again."""

    def __init__(self, file: BinaryIO, passphrase: str, log2_n: int | None = None) -> None:
        log2_n = LOG2_N if log2_n is None else log2_n
        self._file = file
        salt = secrets.token_bytes(16)
        self._header = _HEADER.pack(MAGIC, log2_n, _R, _P, salt)
        self._cipher = ChaCha20Poly1305(_key(passphrase, salt, log2_n, _R, _P))
        self._number = 0
        self._pending = bytearray()
        file.write(self._header)

    def write(self, data: bytes) -> None:
        """Add data."""
        self._pending += data
        # The last chunk is written by ``close``, so one is always kept back.
        while len(self._pending) > CHUNK_BYTES:
            self._put(bytes(self._pending[:CHUNK_BYTES]), is_last=False)
            del self._pending[:CHUNK_BYTES]

    def close(self) -> None:
        """Write the end."""
        self._put(bytes(self._pending), is_last=True)

    def _put(self, chunk: bytes, *, is_last: bool) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number, is_last=is_last), chunk, self._header)
        self._number += 1
        self._file.write(struct.pack(">I", len(sealed)) + sealed)


def open_vault(file: BinaryIO, passphrase: str) -> Iterator[bytes]:
    """Yield what was written, chunk by chunk, each checked; raises InputError. Reads a file that may be anybody's."""
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise InputError("this is no backup of a GateManager: it is too short")
    magic, log2_n, r, p, salt = _HEADER.unpack(header)
    if magic != MAGIC:
        raise InputError("this is no backup of a GateManager, or one of another version")
    if not 10 <= log2_n <= _MAX_LOG2_N or r != _R or p != _P:
        raise InputError("the backup asks for more work than is allowed: it is damaged or not ours")
    cipher = ChaCha20Poly1305(_key(passphrase, salt, log2_n, r, p))
    number, following = 0, _read_chunk(file)
    while following is not None:
        sealed, following = following, _read_chunk(file)
        try:
            yield cipher.decrypt(_nonce(number, is_last=following is None), sealed, header)
        except InvalidTag:
            raise InputError(_DAMAGED) from None
        number += 1
    if number == 0:
        raise InputError(_DAMAGED)


def _read_chunk(file: BinaryIO) -> bytes | None:
    head = file.read(4)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    sealed = file.read(min(length, CHUNK_BYTES + _TAG_BYTES))
    if len(head) < 4 or len(sealed) != length or length < _TAG_BYTES:
        raise InputError(_DAMAGED)
    return sealed


def _nonce(number: int, *, is_last: bool) -> bytes:
    return struct.pack(">3xQB", number, is_last)


def _key(passphrase: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << log2_n, r=r, p=p).derive(passphrase.encode())

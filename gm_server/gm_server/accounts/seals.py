"""Words that the GateManager gives to somebody and knows again, without keeping them. No I/O.

A seal is its end (Unix seconds) and an HMAC-SHA256 over it, its purpose, whose it is and what it is bound to. When what
it is bound to changes (a certificate, a password), it is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Final

from cryptography.hazmat.primitives import serialization

from gatelink.identity import Identity

_LABEL: Final = b"gatelink seal v1"
_END = struct.Struct(">Q")
SEAL_BYTES: Final = _END.size + 32


class Seals:
    """Made with the key of one GateManager."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of_authority(cls, authority: Identity) -> Seals:
        """Derive the key from the user authority's: it is in every backup, and no secret more is to be kept."""
        private = authority.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(hmac.digest(private, _LABEL + b" key", "sha256"))

    def make(self, purpose: str, user_id: str, bound_to: bytes, ends_at: float) -> bytes:
        """Return a seal (``SEAL_BYTES``)."""
        end = _END.pack(int(ends_at))
        return end + self._mac(purpose, user_id, bound_to, end)

    def is_good(self, seal: bytes, purpose: str, user_id: str, bound_to: bytes, now: float) -> bool:
        """Say whether this is our seal, for just this, and not over yet."""
        if len(seal) != SEAL_BYTES:
            return False
        end = seal[: _END.size]
        right = hmac.compare_digest(seal[_END.size :], self._mac(purpose, user_id, bound_to, end))
        return right and now < _END.unpack(end)[0]

    def _mac(self, purpose: str, user_id: str, bound_to: bytes, end: bytes) -> bytes:
        fields = (purpose.encode(), user_id.encode(), hashlib.sha256(bound_to).digest(), end)
        message = _LABEL + b"".join(len(field).to_bytes(2, "big") + field for field in fields)
        return hmac.digest(self._key, message, "sha256")

"""The text that a person hands over: a claim for an SM, an invitation for an LM. Parses what people paste.

``glc1_`` (claim) or ``gli1_`` (invitation), then base64url of MessagePack and a CRC-32 against slips: one word without
separators, so that a double click selects it and a QR code holds it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from .certificates import key_sha256, serial_text
from .exceptions import InputError
from .messages import Address, Digest, Identifier, Name
from .wire import SECRET_BYTES

Kind = Literal["appliance", "user"]
_PREFIXES: Final[dict[Kind, str]] = {"appliance": "glc1_", "user": "gli1_"}
_NOUNS: Final[dict[Kind, str]] = {"appliance": "claim", "user": "invitation"}
_MAX_CHARACTERS: Final = 4096


class Fingerprint(msgspec.Struct, frozen=True):
    """The GateManager's appliance certificate as the claim names it."""

    serial: Annotated[str, Meta(max_length=64)]
    key_sha256: Digest


class Claim(msgspec.Struct, frozen=True):
    """One-time right to enrol, with where the GateManager is and (unless left out) who it is."""

    kind: Kind
    claim_id: Identifier
    secret: Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
    addresses: Annotated[tuple[Address, ...], Meta(min_length=1, max_length=16)]
    fingerprint: Fingerprint | None = None
    user: Name | None = None
    """Kind ``user``: the account's name, for the dialogue."""


def fingerprint_of(certificate: bytes) -> Fingerprint:
    """Return the fingerprint of an appliance certificate (DER)."""
    return Fingerprint(serial_text(certificate), key_sha256(certificate))


def claim_text(claim: Claim) -> str:
    """Return the text to hand over."""
    payload = msgspec.msgpack.encode(claim)
    payload += binascii.crc32(payload).to_bytes(4, "big")
    return _PREFIXES[claim.kind] + base64.urlsafe_b64encode(payload).decode().rstrip("=")


def parse_claim(text: str, kind: Kind) -> Claim:
    """Read a claim's text; white space anywhere (line breaks of a mail) is ignored.

    Raises InputError that says whether it is of the wrong kind, cut off, or something else; it never repeats the text.
    """
    word = "".join(text.split())
    noun = _NOUNS[kind]
    prefix = _PREFIXES[kind]
    if any(word.startswith(other) for other in _PREFIXES.values() if other != prefix):
        raise InputError(
            "this is for the other side: a SiteManager takes a claim (glc1_), a LinkManager an invitation (gli1_)"
        )
    if not word.startswith(prefix) or len(word) > _MAX_CHARACTERS:
        raise InputError(f"this is no {noun}: it should begin with {prefix}; copy the whole text again")
    encoded = word.removeprefix(prefix)
    try:
        payload = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        if binascii.crc32(payload[:-4]) != int.from_bytes(payload[-4:], "big"):
            raise ValueError
        claim = msgspec.msgpack.decode(payload[:-4], type=Claim)
    except (ValueError, msgspec.DecodeError, RecursionError):
        raise InputError(f"the {noun} is damaged or cut off: copy the whole text again") from None
    if claim.kind != kind:
        raise InputError(f"the {noun} is damaged: ask for a new one")
    return claim

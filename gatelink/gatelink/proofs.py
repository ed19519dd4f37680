"""Mutual proof of a claim's or invitation's secret over both sides' keys. No I/O.

Each side sends an HMAC-SHA256, under the shared secret, of everything that must be the same at both ends: who speaks,
the claim, both nonces, the GateManager's certificate as that side sees it, the party's key. A machine in the middle
presents another certificate, so that its proof to the party and the party's proof to the GateManager are both wrong;
the secret (128 random bits) cannot be guessed from either. The GateManager proves first: a party tells nothing to one
that cannot.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, Literal

import msgspec

from .exceptions import ProofError

_LABEL: Final = b"gatelink enrolment proof v1"
_KEY_LABEL: Final = b"gatelink enrolment proof key v1"


class Transcript(msgspec.Struct, frozen=True):
    """What both proofs are about."""

    kind: str
    claim_id: str
    party_nonce: bytes
    gm_nonce: bytes
    gm_certificate: bytes
    """As seen by whoever makes the proof."""
    party_key_sha256: bytes


def proof_key(secret: bytes) -> bytes:
    """Return the key that the GM keeps instead of the secret: it is worth as much, but opens nothing else."""
    return hmac.digest(secret, _KEY_LABEL, "sha256")


def make_proof(key: bytes, speaker: Literal["gm", "party"], transcript: Transcript) -> bytes:
    """Return the proof (32 bytes) of ``speaker``; ``key`` comes from ``proof_key``."""
    fields = (
        speaker.encode(),
        transcript.kind.encode(),
        transcript.claim_id.encode(),
        transcript.party_nonce,
        transcript.gm_nonce,
        hashlib.sha256(transcript.gm_certificate).digest(),
        transcript.party_key_sha256,
    )
    message = _LABEL + b"".join(len(field).to_bytes(2, "big") + field for field in fields)
    return hmac.digest(key, message, "sha256")


def check_proof(key: bytes, speaker: Literal["gm", "party"], transcript: Transcript, proof: bytes) -> None:
    """Raise ProofError unless ``proof`` is that of ``speaker``."""
    if not hmac.compare_digest(make_proof(key, speaker, transcript), proof):
        raise ProofError("the other side did not prove the secret of the claim")

"""enrol: a claim or an invitation becomes a certificate. login: a name and a password become one for a day."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from .shapes import Der, Digest, Identifier, Message, Name, Nonce, Password, Seconds, Text


class EnrolStart(Message, frozen=True):
    """Opens an enrolment. An empty ``claim_id`` asks for a place among the waiting appliances (first-use trust)."""

    kind: Literal["appliance", "user"]
    claim_id: Annotated[str, Meta(max_length=64)]
    nonce: Nonce
    key_sha256: Digest
    """Of the public key that the CSR will hold: part of both proofs."""


class EnrolProof(Message, frozen=True):
    """The GM's half of the mutual proof; without a claim ``proof`` is random and means nothing."""

    nonce: Nonce
    proof: Digest


class EnrolRequest(Message, frozen=True):
    """The party's half of the proof and its certificate request. The name in the CSR is ignored."""

    csr: Der
    proof: Digest
    software: Text = ""
    password: Password | None = None
    """Kind ``user`` only: the password that the invited person chose."""


class Enrolled(Message, frozen=True):
    """The certificate, and the names that the GM gave."""

    certificate: Der
    peer_id: Identifier
    name: Name
    domain: Annotated[str, Meta(max_length=512)]


class EnrolWaiting(Message, frozen=True):
    """Waits among the unclaimed appliances until an administrator adopts it; ask again after ``retry_s``."""

    waiting_id: Identifier
    retry_s: Seconds


class PasswordLogin(Message, frozen=True):
    """Opens a login without a certificate: what comes of it is a short-lived one, by which the control connection
    and the sessions go on as with any other."""

    user: Name
    password: Password
    csr: Der
    """The name in it is ignored."""
    software: Text = ""

"""Turns a claim or an invitation into a certificate and a pin; or asks for a place among the waiting appliances."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from gatelink.certificates import fingerprint_text, key_sha256
from gatelink.claims import Claim, Kind, fingerprint_of
from gatelink.exceptions import LinkError, PinMismatch, ProofError, ProtocolError, Refused
from gatelink.messages import (
    ENROL_TO_PARTY,
    Enrolled,
    EnrolProof,
    EnrolRequest,
    EnrolStart,
    EnrolToParty,
    EnrolWaiting,
    Refusal,
)
from gatelink.pins import How, Pin, describe
from gatelink.proofs import Transcript, check_proof, make_proof, proof_key
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_ENROL, LOGIN_TIMEOUT_S, NONCE_BYTES

from .contact import connect_pinned, first_contact
from .endpoints import Endpoint

if TYPE_CHECKING:
    from gatelink.identity import Identity, PrivateKey

_LIMIT_BYTES: Final = 16 * 1024
R = TypeVar("R")
T = TypeVar("T", bound=EnrolToParty)


class Enrolment(msgspec.Struct, frozen=True):
    """What an enrolment brought: who the GM is, and who we are to it."""

    pin: Pin
    identity: Identity
    peer_id: str
    name: str
    domain: str

    def close(self) -> None:
        """Nothing is open any more; here so that ``dial.race`` can hold it."""


async def enrol(
    endpoint: Endpoint, claim: Claim, key: PrivateKey, software: str, password: str | None = None
) -> Enrolment:
    """Redeem a claim: both sides prove its secret over both keys, then the GM signs ours.

    Raises PinMismatch or ProofError before anything that is secret was sent, Refused if the claim is used, expired or
    unknown, LinkError, ProtocolError.
    """
    tls, certificate = await first_contact(endpoint, ALPN_ENROL)
    return await _bounded(tls, endpoint, _redeem(tls, certificate, claim, key, software, password))


async def ask_for_place(
    endpoint: Endpoint, pin: Pin | None, key: PrivateKey, software: str
) -> tuple[Pin, Enrolment | EnrolWaiting]:
    """Enrol without a claim: plain first-use trust. Without a pin the GM's certificate is taken as it comes.

    Returns the pin to keep, and the place in the list or, once an administrator adopted it, the enrolment.
    """
    if pin is None:
        tls, certificate = await first_contact(endpoint, ALPN_ENROL)
        pin = Pin(certificate, "first-use")
    else:
        contact = await connect_pinned(endpoint, pin, ALPN_ENROL, None)
        tls, pin = contact.tls, contact.pin
    return pin, await _bounded(tls, endpoint, _wait_in_line(tls, pin, key, software))


async def _redeem(
    tls: ssl.SSLSocket, certificate: bytes, claim: Claim, key: PrivateKey, software: str, password: str | None
) -> Enrolment:
    from gatelink.identity import make_request  # late: see ``gatelink.certificates``

    _check_fingerprint(claim, certificate)
    conversation = Conversation(tls, _LIMIT_BYTES)
    start = _start(claim.kind, claim.claim_id, key)
    await conversation.send(start)
    answer = _expect(await conversation.receive(ENROL_TO_PARTY), EnrolProof)
    transcript = Transcript(start.kind, claim.claim_id, start.nonce, answer.nonce, certificate, start.key_sha256)
    secret = proof_key(claim.secret)
    try:
        check_proof(secret, "gm", transcript, answer.proof)
    except ProofError:
        raise ProofError(
            f"the GateManager with {describe(certificate)} did not prove the claim's secret: the claim is used or "
            "expired, or somebody is in between; nothing secret was sent; ask for a new claim"
        ) from None
    proof = make_proof(secret, "party", transcript)
    request = EnrolRequest(csr=make_request(key), proof=proof, software=software, password=password)
    await conversation.send(request)
    enrolled = _expect(await conversation.receive(ENROL_TO_PARTY), Enrolled)
    how: How = "fingerprint" if claim.fingerprint else "proof"
    return _enrolment(enrolled, Pin(certificate, how), key)


async def _wait_in_line(tls: ssl.SSLSocket, pin: Pin, key: PrivateKey, software: str) -> Enrolment | EnrolWaiting:
    from gatelink.identity import make_request  # late: see ``gatelink.certificates``

    conversation = Conversation(tls, _LIMIT_BYTES)
    await conversation.send(_start("appliance", "", key))
    _expect(await conversation.receive(ENROL_TO_PARTY), EnrolProof)
    await conversation.send(EnrolRequest(csr=make_request(key), proof=bytes(32), software=software))
    answer = await conversation.receive(ENROL_TO_PARTY)
    if isinstance(answer, EnrolWaiting):
        return answer
    return _enrolment(_expect(answer, Enrolled), pin, key)


async def _bounded(tls: ssl.SSLSocket, endpoint: Endpoint, conversation: Awaitable[R]) -> R:
    try:
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            return await conversation
    except TimeoutError:
        raise LinkError(f"{endpoint} did not finish the enrolment within {LOGIN_TIMEOUT_S:.0f} s") from None
    finally:
        tls.close()


def _start(kind: Kind, claim_id: str, key: PrivateKey) -> EnrolStart:
    from gatelink.identity import own_key_sha256  # late: see ``gatelink.certificates``

    nonce = secrets.token_bytes(NONCE_BYTES)
    return EnrolStart(kind=kind, claim_id=claim_id, nonce=nonce, key_sha256=own_key_sha256(key))


def _check_fingerprint(claim: Claim, certificate: bytes) -> None:
    expected = claim.fingerprint
    if expected is None or expected == fingerprint_of(certificate):
        return
    raise PinMismatch(
        f"this is not the GateManager that made the claim: expected serial {expected.serial} "
        f"(key {fingerprint_text(expected.key_sha256)}), got {describe(certificate)}; somebody may be in between",
        certificate,
    )


def _expect(answer: EnrolToParty, kind: type[T]) -> T:
    if isinstance(answer, Refusal):
        raise Refused(answer.code, answer.text)
    if not isinstance(answer, kind):
        raise ProtocolError(f"expected {kind.__name__} from the GateManager, got {type(answer).__name__}")
    return answer


def _enrolment(enrolled: Enrolled, pin: Pin, key: PrivateKey) -> Enrolment:
    from gatelink.identity import Identity, own_key_sha256  # late: see ``gatelink.certificates``

    if key_sha256(enrolled.certificate) != own_key_sha256(key):
        raise ProtocolError("the GateManager returned a certificate for another key")
    identity = Identity(enrolled.certificate, key)
    return Enrolment(pin, identity, enrolled.peer_id, enrolled.name, enrolled.domain)

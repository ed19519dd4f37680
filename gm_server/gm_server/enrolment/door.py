"""enrol: the conversation by which an SM or LM gets its certificate. Parses what strangers send.

The GateManager proves first. Who presents an unknown, used or expired claim gets a random proof, like a claim whose
secret he does not know: ids cannot be probed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from gatelink.exceptions import GatelinkError, InputError, ProofError, ProtocolError, Refused
from gatelink.identity import Identity, request_key_sha256
from gatelink.messages import (
    ENROL_TO_GM,
    Enrolled,
    EnrolProof,
    EnrolRequest,
    EnrolStart,
    EnrolWaiting,
    Message,
)
from gatelink.proofs import Transcript, check_proof, make_proof
from gatelink.tls_io import Conversation
from gatelink.wire import LOGIN_TIMEOUT_S, NONCE_BYTES
from gm_server.accounts.passwords import PasswordPool, check_password
from gm_server.database.store import Store
from gm_server.exceptions import Overloaded
from gm_server.frontdoor.visitor import Visitor
from gm_server.service.farewell import refuse

from .redeem import Names, OpenClaim, find_open, redeem_claim, redeem_invitation, redeem_place

RETRY_S: Final = 10.0
"""How often a waiting appliance is to ask."""
_LIMIT_BYTES: Final = 16 * 1024
_log = logging.getLogger("gm.enrolment")


class Authorities(msgspec.Struct, frozen=True):
    """Who signs certificates."""

    devices: Identity
    users: Identity


class EnrolmentDoor:
    """Answers ``gatelink-enrol/1``. ``clock`` is Unix time."""

    def __init__(
        self,
        store: Store,
        authorities: Authorities,
        passwords: PasswordPool,
        clock: Callable[[], float],
        *,
        first_use: bool,
        at_once: int,
        waiting: int,
    ) -> None:
        self._store = store
        self._authorities = authorities
        self._passwords = passwords
        self._clock = clock
        self._first_use = first_use
        self._at_once = at_once
        self._waiting = waiting
        self._running = 0

    async def __call__(self, visitor: Visitor) -> None:
        """Hold one enrolment's conversation and close."""
        conversation = Conversation(visitor.tls, _LIMIT_BYTES)
        self._running += 1
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_S):
                try:
                    if self._running > self._at_once:
                        raise Refused("busy", "too many enrolments at the same time: try again in a moment")
                    await conversation.send(await self._converse(visitor, conversation))
                except GatelinkError as error:
                    await refuse(conversation, error)
                    raise
        except TimeoutError:
            raise Refused("timeout", f"did not enrol within {LOGIN_TIMEOUT_S:.0f} s") from None
        finally:
            self._running -= 1
            visitor.tls.close()

    async def _converse(self, visitor: Visitor, conversation: Conversation) -> Message:
        start = await conversation.receive(ENROL_TO_GM)
        if not isinstance(start, EnrolStart):
            raise ProtocolError("expected enrol-start first")
        claim = None
        if start.claim_id:
            claim = await self._store.read(find_open, start.claim_id, start.kind, start.key_sha256, self._clock())
        elif start.kind != "appliance":
            raise Refused("claim", "a LinkManager needs an invitation")
        elif not self._first_use:
            raise Refused("first-use-closed", "this GateManager takes no SiteManager without a claim")
        nonce = secrets.token_bytes(NONCE_BYTES)
        transcript = Transcript(
            start.kind, start.claim_id, start.nonce, nonce, visitor.identity.certificate, start.key_sha256
        )
        # Without a claim the key is random, and so is the proof.
        key = claim.proof_key if claim is not None else secrets.token_bytes(32)
        await conversation.send(EnrolProof(nonce=nonce, proof=make_proof(key, "gm", transcript)))
        request = await conversation.receive(ENROL_TO_GM)
        if not isinstance(request, EnrolRequest):
            raise ProtocolError("expected enrol-request after enrol-start")
        if request_key_sha256(request.csr) != start.key_sha256:
            raise ProtocolError("the certificate request is for another key than the enrolment began with")
        if not start.claim_id:
            return await self._give_place(visitor, start, request)
        return await self._redeem(visitor, start, request, claim, key, transcript)

    async def _redeem(
        self,
        visitor: Visitor,
        start: EnrolStart,
        request: EnrolRequest,
        claim: OpenClaim | None,
        key: bytes,
        transcript: Transcript,
    ) -> Message:
        try:
            check_proof(key, "party", transcript, request.proof)
        except ProofError:
            raise Refused(
                "claim", "the claim's secret was not proved: it is used, expired, revoked or damaged"
            ) from None
        if claim is None:
            raise Refused("claim", "the claim is used, expired or revoked: ask for a new one")
        now = self._clock()
        if start.kind == "appliance":
            authority = self._authorities.devices
            names = await self._store.write(
                redeem_claim,
                start.claim_id,
                request.csr,
                start.key_sha256,
                request.software,
                authority,
                now,
                visitor.address,
            )
        else:
            password_hash = await self._hash(request.password, claim.user_name or "")
            names = await self._store.write(
                redeem_invitation,
                start.claim_id,
                request.csr,
                start.key_sha256,
                request.software,
                password_hash,
                self._authorities.users,
                now,
                visitor.address,
            )
        _log.info("%s %s/%s enrolled from %s", start.kind, names.domain, names.name, visitor.address)
        return _enrolled(names)

    async def _give_place(self, visitor: Visitor, start: EnrolStart, request: EnrolRequest) -> Message:
        place = await self._store.write(
            redeem_place,
            request.csr,
            start.key_sha256,
            request.software,
            visitor.address,
            self._authorities.devices,
            self._clock(),
            self._waiting,
        )
        if isinstance(place, Names):
            _log.info("appliance %s/%s enrolled from %s (adopted)", place.domain, place.name, visitor.address)
            return _enrolled(place)
        return EnrolWaiting(waiting_id=place, retry_s=RETRY_S)

    async def _hash(self, password: str | None, user_name: str) -> str:
        try:
            check_password(password or "", user_name)
            return await self._passwords.hash(password or "")
        except InputError as error:
            raise Refused("password", str(error)) from None
        except Overloaded as error:
            raise Refused("busy", str(error)) from None


def _enrolled(names: Names) -> Enrolled:
    return Enrolled(certificate=names.certificate, peer_id=names.peer_id, name=names.name, domain=names.domain)

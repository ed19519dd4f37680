"""Enrolment through a whole GateManager, with the library's own dialling half and word by word."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.claims import Claim
from gatelink.exceptions import PinMismatch, ProofError, Refused
from gatelink.identity import PrivateKey, load_certificate, make_request, new_key, own_key_sha256
from gatelink.link.contact import ask_hello, connect_pinned, first_contact
from gatelink.link.enrolment import ask_for_place, enrol
from gatelink.messages import EnrolWaiting
from gatelink.pins import Pin
from gatelink.proofs import Transcript, make_proof, proof_key
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_CONTROL, ALPN_ENROL
from gm_server.appliances.registry import get_appliance, revoke_appliance
from gm_server.appliances.waiting import adopt, list_waiting
from gm_server.config import Limits
from gm_server.database.tables import Claim as ClaimRecord
from gm_server.database.tables import User as UserRecord
from gm_server.enrolment.claims import revoke_claim
from inproc.gm_running import PASSWORD, Appliance, RunningGm, User, open_session, running_gm, until


def _record(gm: RunningGm, claim: Claim) -> ClaimRecord:
    def read(session: Session) -> ClaimRecord:
        record = session.get_one(ClaimRecord, claim.claim_id)
        session.expunge_all()
        return record

    return gm.read(read)


async def _enrol_by_hand(gm: RunningGm, claim: Claim, key: PrivateKey, **changes: Any) -> tuple[Any, Any]:
    """Enrol without minding the GM's proof; return its proof and its answer. ``changes`` are the request's fields."""
    tls, certificate = await first_contact(gm.endpoint, ALPN_ENROL)
    try:
        conversation = Conversation(tls, 1 << 16)
        start = messages.EnrolStart(
            kind=claim.kind, claim_id=claim.claim_id, nonce=secrets.token_bytes(32), key_sha256=own_key_sha256(key)
        )
        await conversation.send(start)
        proof = await conversation.receive(messages.ENROL_TO_PARTY)
        if not isinstance(proof, messages.EnrolProof):
            return None, proof
        transcript = Transcript(claim.kind, claim.claim_id, start.nonce, proof.nonce, certificate, start.key_sha256)
        request = messages.EnrolRequest(
            csr=make_request(key), proof=make_proof(proof_key(claim.secret), "party", transcript), password=PASSWORD
        )
        await conversation.send(replace(request, **changes))
        return proof, await conversation.receive(messages.ENROL_TO_PARTY)
    finally:
        tls.close()


def test_appliance_gets_the_gms_names_when_its_claim_is_good(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            enrolment = await gm.enrolled_appliance()
            assert (enrolment.name, enrolment.domain) == ("press1", "acme/line3")
            assert enrolment.pin.how == "fingerprint"
            subject = load_certificate(enrolment.identity.certificate).subject.rfc4514_string()
            assert subject == f"CN={enrolment.peer_id}"

    asyncio.run(scenario())


def test_claim_is_closed_for_every_other_key_when_it_was_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            claim = gm.claim("acme/line3/press1")
            await enrol(gm.endpoint, claim, new_key(), "sm test")
            with pytest.raises(ProofError):
                await enrol(gm.endpoint, claim, new_key(), "sm test")
            _, answer = await _enrol_by_hand(gm, claim, new_key())
            assert (type(answer), answer.code) == (messages.Refusal, "claim")

    asyncio.run(scenario())


def test_same_key_gets_the_same_certificate_when_the_answer_was_lost_but_not_after_its_login(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            claim, key = gm.claim("acme/line3/press1"), new_key()
            first = await enrol(gm.endpoint, claim, key, "sm test")
            again = await enrol(gm.endpoint, claim, key, "sm test")
            assert first.identity.certificate == again.identity.certificate
            appliance = Appliance(gm, again)
            await appliance.log_in()
            await gm.server.presence.flush()
            assert _record(gm, claim).proof_key is None
            with pytest.raises(ProofError):
                await enrol(gm.endpoint, claim, key, "sm test")
            appliance.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("case", ["unknown", "expired", "revoked", "wrong secret", "wrong kind"])
def test_gm_proves_nothing_and_answers_alike_when_a_claim_is_not_good(tmp_path: Path, case: str) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            claim = gm.claim("acme/line3/press1", days=1)
            if case == "unknown":
                claim = replace(claim, claim_id="clm-0000000000000000")
            elif case == "expired":
                gm.clock.ahead_s = 86401
            elif case == "revoked":
                gm.write(revoke_claim, claim.claim_id, 1.0)
            elif case == "wrong secret":
                claim = replace(claim, secret=bytes(16))
            else:
                claim = replace(claim, kind="user")
            with pytest.raises(ProofError):
                await enrol(gm.endpoint, claim, new_key(), "sm test", PASSWORD)
            _, answer = await _enrol_by_hand(gm, claim, new_key())
            assert isinstance(answer, messages.Refusal)
            assert answer.code == "claim"
            assert gm.read(lambda session: get_appliance(session, "acme/line3/press1").state) == "expected"

    asyncio.run(scenario())


def test_proof_is_refused_when_it_was_made_for_another_certificate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            claim = gm.claim("acme/line3/press1")
            _, answer = await _enrol_by_hand(gm, claim, new_key(), proof=bytes(32))
            assert answer.code == "claim"
            assert _record(gm, claim).used_at is None
            _, answer = await _enrol_by_hand(gm, claim, new_key(), csr=make_request(new_key()))
            assert answer.code == "protocol"
            _, answer = await _enrol_by_hand(gm, claim, new_key(), csr=b"no request")
            assert answer.code == "protocol"
            assert _record(gm, claim).used_at is None

    asyncio.run(scenario())


def test_party_tells_nothing_when_the_fingerprint_is_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "one") as one, running_gm(tmp_path / "two", name="two") as two:
            for gm in (one, two):
                gm.plant()
            claim = one.claim("acme/line3/press1", fingerprint=False)
            assert claim.fingerprint is None
            with pytest.raises(ProofError):
                await enrol(two.endpoint, claim, new_key(), "sm test")
            enrolment = await enrol(one.endpoint, claim, new_key(), "sm test")
            assert enrolment.pin.how == "proof"

    asyncio.run(scenario())


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaa", "ada", None])
def test_invitation_stays_open_when_the_password_is_not_good_enough(tmp_path: Path, password: str | None) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            claim = gm.invitation("ada")
            with pytest.raises(Refused) as refused:
                await enrol(gm.endpoint, claim, new_key(), "lm test", password)
            assert refused.value.code == "password"
            enrolment = await enrol(gm.endpoint, claim, new_key(), "lm test", PASSWORD)
            assert enrolment.name == "ada"
            stored = gm.read(lambda session: session.scalars(select(UserRecord.password_hash)).one())
            assert stored is not None
            assert stored.startswith("$argon2id$")
            assert PASSWORD not in stored

    asyncio.run(scenario())


def test_appliance_waits_and_is_enrolled_when_somebody_adopts_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            key = new_key()
            pin, place = await ask_for_place(gm.endpoint, None, key, "sm \x1b[31mtest")
            assert isinstance(place, EnrolWaiting)
            _, again = await ask_for_place(gm.endpoint, pin, key, "sm test")
            assert isinstance(again, EnrolWaiting)
            assert again.waiting_id == place.waiting_id
            gm.write(adopt, place.waiting_id, "acme", "press2", gm.clock())
            assert gm.read(list_waiting) == []
            pin, enrolment = await ask_for_place(gm.endpoint, pin, key, "sm test")
            assert not isinstance(enrolment, EnrolWaiting)
            assert (enrolment.name, enrolment.domain) == ("press2", "acme")
            _, lost = await ask_for_place(gm.endpoint, pin, key, "sm test")
            assert not isinstance(lost, EnrolWaiting)
            assert lost.identity.certificate == enrolment.identity.certificate
            gm.write(revoke_appliance, "acme/press2", gm.clock())
            with pytest.raises(Refused) as refused:
                await ask_for_place(gm.endpoint, pin, key, "sm test")
            assert refused.value.code == "revoked"

    asyncio.run(scenario())


def test_waiting_list_is_bounded_and_can_be_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm", Limits(waiting_appliances=2)) as gm:
            for _ in range(2):
                await ask_for_place(gm.endpoint, None, new_key(), "sm test")
            with pytest.raises(Refused) as refused:
                await ask_for_place(gm.endpoint, None, new_key(), "sm test")
            assert refused.value.code == "full"
        async with running_gm(tmp_path / "closed", first_use_enrolment=False) as gm:
            with pytest.raises(Refused) as refused:
                await ask_for_place(gm.endpoint, None, new_key(), "sm test")
            assert refused.value.code == "first-use-closed"

    asyncio.run(scenario())


def test_unit_is_replaced_when_a_new_claim_is_redeemed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            gm.grant()
            user = User(gm, await gm.enrolled_user())
            await user.log_in()
            old = Appliance(gm, await gm.enrolled_appliance())
            await old.log_in()
            session = await open_session(user, old)
            new = Appliance(gm, await gm.enrolled_appliance())
            assert new.enrolment.peer_id == old.enrolment.peer_id
            # The old certificate is dead at once: its session, its connection, a login, a ticket of its successor's.
            assert await session.is_cut()
            session.close()
            assert (await user.hear_kind(messages.EndSession)).code == "appliance-removed"
            assert (await old.hear_kind(messages.EndSession)).code == "appliance-removed"
            assert (await old.hear_kind(messages.Refusal)).code == "unknown-certificate"
            assert (await old.log_in()).code == "unknown-certificate"
            assert isinstance(await new.log_in(), messages.Welcome)
            assert (await old.log_in()).code == "unknown-certificate"
            connected = await user.ask_for(new)
            assert isinstance(connected, messages.Connected)
            opened = await new.hear_kind(messages.OpenSession)
            with pytest.raises(Refused, match="ticket"):
                await old.leg(opened.ticket)
            (await open_session(user, new)).close()
            for party in (old, new, user):
                party.close()

    asyncio.run(scenario())


def test_pinned_party_follows_when_the_certificate_is_renewed_while_serving(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            enrolment = await gm.enrolled_appliance()
            from gm_server.cli.program import run

            before = gm.pin
            for _ in range(2):
                assert (
                    await asyncio.to_thread(run, ["--data", str(gm.directory.path), "certificate", "renew", "--yes"])
                    == 0
                )
            assert gm.pin.serial != before.serial
            hello, presented = await ask_hello(gm.endpoint)
            assert presented == gm.pin.certificate
            assert hello is not None
            assert len(hello.statements) == 2
            contact = await connect_pinned(gm.endpoint, enrolment.pin, ALPN_CONTROL, enrolment.identity)
            assert contact.pin == Pin(gm.pin.certificate, "succession")
            contact.close()
            other = Pin(enrolment.identity.certificate, "proof")
            with pytest.raises(PinMismatch):
                await connect_pinned(gm.endpoint, other, ALPN_CONTROL, enrolment.identity)

    asyncio.run(scenario())


def test_login_is_slowed_and_answers_alike_when_passwords_are_guessed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            user = User(gm, await gm.enrolled_user())
            gm.clock.hold()
            answers = [await user.log_in("wrong password") for _ in range(3)]
            assert {(answer.code, answer.text) for answer in answers} == {("login", answers[0].text)}
            assert (await user.log_in()).code == "try-later"
            gm.clock.ahead_s += 61
            assert isinstance(await user.log_in(), messages.Welcome)
            await until(lambda: len(list(gm.server.peers.users())) == 1)
            user.close()

    asyncio.run(scenario())


def test_alarm_is_kept_once_when_it_is_reported_again(tmp_path: Path) -> None:
    from gm_server.appliances.alarms import list_alarms

    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            appliance = Appliance(gm, await gm.enrolled_appliance())
            alarm = messages.PinAlarm(messages.Route("gm.example", 443), "AAAA-BBBB", b"\x01" * 32, 1000.0)
            for seen_at in (1000.0, 2000.0):
                await appliance.log_in(pin_alarms=(replace(alarm, seen_at=seen_at),))
            [record] = gm.read(lambda session: [*list_alarms(session, 10)])
            assert (record.serial, record.first_seen_at, record.last_seen_at) == ("AAAA-BBBB", 1000.0, 2000.0)
            appliance.close()

    asyncio.run(scenario())

"""The dialling half against a GateManager's end of the wire: contact, succession, racing, enrolment, legs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest

from gatelink import identity, messages
from gatelink.claims import Claim, fingerprint_of
from gatelink.exceptions import LinkError, PinMismatch, ProofError, Refused, TrustError
from gatelink.link.contact import connect_pinned
from gatelink.link.dial import race
from gatelink.link.endpoints import Endpoint
from gatelink.link.enrolment import ask_for_place, enrol
from gatelink.link.leg import end_to_end, open_leg
from gatelink.messages import Refusal
from gatelink.pins import Pin, make_statement
from gatelink.proofs import Transcript, make_proof, proof_key
from gatelink.tls import tunnel_client_context, tunnel_server_context
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_CONTROL, ALPN_ENROL, ALPN_RELAY, HANDSHAKE_TIMEOUT_S, TICKET_LIFETIME_S
from inproc.parties import AUTHORITY, NOW, ScriptedGm, gm_identity, party_identity
from inproc.virtual_time import run

SECRET = b"s" * 16


# contact


async def _nothing(_: ssl.SSLSocket) -> None:
    return


def test_pinned_gatemanager_is_taken() -> None:
    async def conversation() -> None:
        async with ScriptedGm() as gm:
            gm.scripts[ALPN_CONTROL] = _nothing
            contact = await connect_pinned(gm.endpoint, gm.pin, ALPN_CONTROL, party_identity())
            contact.close()
            assert contact.pin == gm.pin

    run(conversation())


def test_other_certificate_is_refused_before_ours_is_shown() -> None:
    async def conversation() -> None:
        async with ScriptedGm() as gm:
            pinned = gm_identity()
            with pytest.raises(PinMismatch) as caught:
                await connect_pinned(gm.endpoint, Pin(pinned.certificate, "proof"), ALPN_CONTROL, party_identity())
            assert pinned.serial in str(caught.value)
            assert gm.identity.serial in str(caught.value)
            # The control handshake was broken off by the client; only the hello, without a certificate, was completed.
            assert gm.refused == 1
            assert gm.accepted == ["gatelink-hello/1"]

    run(conversation())


def test_successor_is_followed_and_becomes_the_pin() -> None:
    async def conversation() -> None:
        old = gm_identity()
        async with ScriptedGm() as gm:
            gm.statements = (make_statement(old, gm.identity.certificate),)
            gm.scripts[ALPN_CONTROL] = _nothing
            contact = await connect_pinned(gm.endpoint, Pin(old.certificate, "proof"), ALPN_CONTROL, party_identity())
            contact.close()
            assert (contact.pin.serial, contact.pin.how) == (gm.identity.serial, "succession")

    run(conversation())


# racing


class _Attempt:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


WAYS = tuple(Endpoint("gm", port) for port in (11444, 443, 80))


def test_next_way_is_started_when_the_first_is_silent_and_at_once_when_it_fails() -> None:
    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        started: dict[int, float] = {}

        async def attempt(way: Endpoint) -> _Attempt:
            started[way.port] = loop.time()
            if way.port == 11444:
                await asyncio.sleep(3600)
            if way.port == 443:
                raise LinkError("closed")
            return _Attempt()

        begin = loop.time()
        _, way = await race(WAYS, attempt, stagger_s=2)
        assert way.port == 80
        assert [started[port] - begin for port in (11444, 443, 80)] == [0, 2, 2]

    run(conversation())


def test_best_way_wins_and_the_loser_is_closed_when_both_succeed_at_once() -> None:
    async def conversation() -> None:
        made: dict[int, _Attempt] = {}

        async def attempt(way: Endpoint) -> _Attempt:
            await asyncio.sleep({11444: 3, 443: 1, 80: 3600}[way.port])
            made[way.port] = _Attempt()
            return made[way.port]

        _, way = await race(WAYS, attempt, stagger_s=2)
        assert way.port == 11444
        assert not made[11444].closed
        assert all(loser.closed for port, loser in made.items() if port != 11444)

    run(conversation())


def test_error_names_every_way_when_all_fail() -> None:
    async def attempt(way: Endpoint) -> _Attempt:
        raise LinkError(f"reason {way.port}")

    with pytest.raises(LinkError, match="gm:11444: reason 11444; gm:443: reason 443; gm:80: reason 80"):
        run(race(WAYS, attempt))


# enrolment


def _claim(gm: ScriptedGm, *, with_fingerprint: bool) -> Claim:
    fingerprint = fingerprint_of(gm.identity.certificate) if with_fingerprint else None
    return Claim("appliance", "c-1", SECRET, ("127.0.0.1",), fingerprint)


def _enrolling(
    gm: ScriptedGm, secret: bytes, heard: list[messages.Message]
) -> Callable[[ssl.SSLSocket], Awaitable[None]]:
    """A GM's side of an enrolment that knows ``secret``; a machine in the middle is one that knows another."""

    async def script(secured: ssl.SSLSocket) -> None:
        talk = Conversation(secured, 16384)
        start = await talk.receive(messages.ENROL_TO_GM)
        heard.append(start)
        assert isinstance(start, messages.EnrolStart)
        transcript = Transcript(
            start.kind, start.claim_id, start.nonce, b"n" * 32, gm.identity.certificate, start.key_sha256
        )
        await talk.send(messages.EnrolProof(nonce=b"n" * 32, proof=make_proof(proof_key(secret), "gm", transcript)))
        with contextlib.suppress(LinkError):
            request = await talk.receive(messages.ENROL_TO_GM)
            heard.append(request)
            assert isinstance(request, messages.EnrolRequest)
            assert request.proof == make_proof(proof_key(secret), "party", transcript)
            certificate = identity.issue(request.csr, AUTHORITY, "sm-7", NOW, 3650)
            await talk.send(messages.Enrolled(certificate=certificate, peer_id="sm-7", name="press", domain="acme"))

    return script


@pytest.mark.parametrize(("with_fingerprint", "how"), [(True, "fingerprint"), (False, "proof")])
def test_claim_becomes_a_certificate_and_a_pin(with_fingerprint: bool, how: str) -> None:
    async def conversation() -> None:
        async with ScriptedGm() as gm:
            gm.scripts[ALPN_ENROL] = _enrolling(gm, SECRET, [])
            key = identity.new_key()
            result = await enrol(gm.endpoint, _claim(gm, with_fingerprint=with_fingerprint), key, "test")
            assert (result.peer_id, result.name, result.domain) == ("sm-7", "press", "acme")
            assert (result.pin.serial, result.pin.how) == (gm.identity.serial, how)
            assert result.identity.key is key

    run(conversation())


def test_machine_in_the_middle_learns_nothing_secret_when_it_does_not_know_the_claim() -> None:
    async def conversation() -> None:
        heard: list[messages.Message] = []
        async with ScriptedGm() as middle:
            middle.scripts[ALPN_ENROL] = _enrolling(middle, b"x" * 16, heard)
            with pytest.raises(ProofError, match=middle.identity.serial):
                await enrol(
                    middle.endpoint, _claim(middle, with_fingerprint=False), identity.new_key(), "t", "password"
                )
        assert [type(message) for message in heard] == [messages.EnrolStart]

    run(conversation())


def test_machine_in_the_middle_hears_nothing_when_the_claim_names_the_gatemanager() -> None:
    async def conversation() -> None:
        async with ScriptedGm() as middle, ScriptedGm() as real:
            heard: list[messages.Message] = []
            middle.scripts[ALPN_ENROL] = _enrolling(middle, SECRET, heard)
            with pytest.raises(PinMismatch) as caught:
                await enrol(middle.endpoint, _claim(real, with_fingerprint=True), identity.new_key(), "test")
            assert real.identity.serial in str(caught.value)
            assert middle.identity.serial in str(caught.value)
            assert heard == []

    run(conversation())


def test_first_use_takes_the_certificate_and_waits_in_line() -> None:
    async def in_line(secured: ssl.SSLSocket) -> None:
        talk = Conversation(secured, 16384)
        await talk.receive(messages.ENROL_TO_GM)
        await talk.send(messages.EnrolProof(nonce=bytes(32), proof=bytes(32)))
        await talk.receive(messages.ENROL_TO_GM)
        await talk.send(messages.EnrolWaiting(waiting_id="w-1", retry_s=10))

    async def conversation() -> None:
        key = identity.new_key()
        async with ScriptedGm() as gm, ScriptedGm() as other:
            gm.scripts[ALPN_ENROL] = other.scripts[ALPN_ENROL] = in_line
            pin, place = await ask_for_place(gm.endpoint, None, key, "test")
            assert isinstance(place, messages.EnrolWaiting)
            assert (pin.serial, pin.how) == (gm.identity.serial, "first-use")
            with pytest.raises(PinMismatch):
                await ask_for_place(other.endpoint, pin, key, "test")

    run(conversation())


# legs


def test_refused_ticket_says_why() -> None:
    async def refuse(secured: ssl.SSLSocket) -> None:
        talk = Conversation(secured, 1024)
        await talk.receive(messages.RELAY_TO_GM)
        await talk.send(Refusal(code="ticket", text="the ticket is used or expired"))

    async def conversation() -> None:
        async with ScriptedGm() as gm:
            gm.scripts[ALPN_RELAY] = refuse
            with pytest.raises(Refused, match="used or expired") as caught:
                await open_leg(gm.endpoint, gm.pin, party_identity(), b"t" * 32)
            assert caught.value.code == "ticket"

    run(conversation())


async def _joined(secured: ssl.SSLSocket) -> socket.socket:
    """What the relay does with a good ticket; the plain connection is the far party's from then on."""
    talk = Conversation(secured, 1024)
    assert await talk.receive(messages.RELAY_TO_GM) == messages.RelayHello(ticket=b"t" * 32)
    await talk.send(messages.RelayJoined())
    return await talk.end_tls()


@pytest.mark.parametrize("far_is_right", [True, False], ids=["named", "another"])
def test_joined_leg_speaks_end_to_end_with_exactly_whom_the_gatemanager_named(*, far_is_right: bool) -> None:
    pc, gateway = party_identity("pc"), party_identity("sm-1")

    async def far_party(secured: ssl.SSLSocket) -> None:
        leg = await _joined(secured)
        shown = gateway if far_is_right else party_identity("sm-2")
        context = tunnel_server_context(shown, pc.certificate)
        with contextlib.suppress(LinkError), await end_to_end(leg, context, server_side=True) as far:
            await Conversation(far, 1024).send(messages.Ping(token=7))

    async def conversation() -> None:
        async with ScriptedGm() as gm:
            gm.scripts[ALPN_RELAY] = far_party
            leg = await open_leg(gm.endpoint, gm.pin, pc, b"t" * 32)
            context = tunnel_client_context(pc, gateway.certificate)
            if not far_is_right:
                with pytest.raises(TrustError, match="another certificate than was announced"):
                    await end_to_end(leg, context, server_side=False)
                return
            with await end_to_end(leg, context, server_side=False) as near:
                assert await Conversation(near, 1024).receive(messages.USER_TO_GM) == messages.Ping(token=7)

    run(conversation())


def test_leg_is_given_up_when_the_other_party_never_comes() -> None:
    async def wait_for_ever(secured: ssl.SSLSocket) -> None:
        await Conversation(secured, 1024).receive(messages.RELAY_TO_GM)
        await asyncio.get_running_loop().create_future()

    async def conversation() -> None:
        async with ScriptedGm() as gm:
            gm.scripts[ALPN_RELAY] = wait_for_ever
            begun_s = asyncio.get_running_loop().time()
            with pytest.raises(LinkError, match="the other party did not join the session within 30 s"):
                await open_leg(gm.endpoint, gm.pin, party_identity(), b"t" * 32)
            assert asyncio.get_running_loop().time() - begun_s >= TICKET_LIFETIME_S

    run(conversation())


def test_joined_leg_is_given_up_when_the_far_end_is_silent() -> None:
    async def say_nothing(secured: ssl.SSLSocket) -> None:
        with await _joined(secured):
            await asyncio.get_running_loop().create_future()

    async def conversation() -> None:
        async with ScriptedGm() as gm:
            gm.scripts[ALPN_RELAY] = say_nothing
            pc = party_identity("pc")
            leg = await open_leg(gm.endpoint, gm.pin, pc, b"t" * 32)
            begun_s = asyncio.get_running_loop().time()
            with pytest.raises(LinkError, match="the other end did not answer within 10 s"):
                await end_to_end(leg, tunnel_client_context(pc, party_identity().certificate), server_side=False)
            assert asyncio.get_running_loop().time() - begun_s >= HANDSHAKE_TIMEOUT_S

    run(conversation())

"""Every message as every kind of peer, before and after the login: what is not allowed is refused, and does nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatelink import messages
from gatelink.exceptions import LinkError
from gatelink.link.contact import connect_pinned, first_contact
from gatelink.tls_io import Conversation, drive
from gatelink.wire import ALPN_ENROL, ALPN_HELLO, ALPN_LOGIN, ALPN_RELAY
from inproc.gm_running import DEADLINE_S, Appliance, Party, RunningGm, User, connected_plant, until
from vectors.samples import SAMPLES

_ANY: messages.Vocabulary[messages.Message] = messages.Vocabulary(
    messages.Welcome
    | messages.Refusal
    | messages.EnrolProof
    | messages.Enrolled
    | messages.EnrolWaiting
    | messages.RelayJoined
    | messages.GmHello
    | messages.Done
    | messages.ApplianceList
    | messages.Connected
    | messages.WatchDevices
    | messages.Ping
    | messages.Pong
)
_LOGINS = {"appliance": "appliance-login", "user": "user-login"}
_ONLY_AT_LOGIN = {"appliance": {"appliance-login"}, "user": {"user-login", "login-answer", "login-resend"}}
_AFTER_LOGIN = {
    "appliance": {
        "session-refused",
        "session-ended",
        "appliance-status",
        "device-states",
        "scan-result",
        "appliance-event",
        "firmware-fetch",
        "firmware-progress",
        "ping",
        "pong",
    },
    "user": {
        "list-appliances",
        "connect",
        "disconnect",
        "session-ended",
        "ping",
        "pong",
        "watch-tree",
        "watch-relays",
        "relay-states",
        "request-access",
    },
}
"""What a logged-in peer may say. Everything else that has a name is answered with a refusal."""


async def _answer(conversation: Conversation) -> messages.Message | None:
    """Return what comes back; None when the connection ends without a word."""
    async with asyncio.timeout(DEADLINE_S):
        try:
            # What an SM is told unasked is no answer.
            while isinstance(answer := await conversation.receive(_ANY), messages.WatchDevices):
                continue
        except LinkError:
            return None
        return answer


async def _is_closed(conversation: Conversation) -> bool:
    async with asyncio.timeout(DEADLINE_S):
        try:
            return not await drive(conversation.tls, lambda: conversation.tls.recv(1))
        except (LinkError, OSError):
            return True


def _new_party(gm: RunningGm, party: Party, kind: str) -> Party:
    return Appliance(gm, party.enrolment) if kind == "appliance" else User(gm, party.enrolment)


@pytest.mark.parametrize("kind", ["appliance", "user"])
def test_only_the_login_is_understood_when_nobody_is_logged_in(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            known = {"appliance": appliance, "user": user}[kind]
            for name, sample in SAMPLES.items():
                if name == _LOGINS[kind]:
                    continue
                party = _new_party(gm, known, kind)
                conversation = await party.connect()
                await conversation.send(sample)
                answer = await _answer(conversation)
                assert isinstance(answer, messages.Refusal), name
                assert answer.request_id is None, name
                assert await _is_closed(conversation), name
                party.close()
            assert len(list(gm.server.peers.appliances())) == len(list(gm.server.peers.users())) == 1
            assert not len(gm.server.sessions.live)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["appliance", "user"])
def test_only_the_own_vocabulary_is_understood_when_logged_in(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            known = {"appliance": appliance, "user": user}[kind]
            for name, sample in SAMPLES.items():
                if name in _AFTER_LOGIN[kind]:
                    continue
                party = _new_party(gm, known, kind)
                await (party.log_in() if isinstance(party, Appliance | User) else asyncio.sleep(0))
                await party.say(sample)
                assert party.conversation is not None
                answer = await _answer(party.conversation)
                assert isinstance(answer, messages.Refusal), name
                if name in _ONLY_AT_LOGIN[kind]:
                    assert answer.code == "protocol"
                    assert await _is_closed(party.conversation)
                else:
                    # An unknown message is answered, with its request id if it had one; the connection goes on.
                    assert (answer.code, answer.request_id) == ("unknown-message", getattr(sample, "request_id", None))
                    await party.say(messages.Ping(token=77))
                    assert await _answer(party.conversation) == messages.Pong(token=77)
                party.close()
            assert not len(gm.server.sessions.live)

    asyncio.run(scenario())


def test_samples_hold_every_message_that_may_be_said() -> None:
    assert set().union(*_AFTER_LOGIN.values(), _LOGINS.values()) <= set(SAMPLES)


@pytest.mark.parametrize(("protocol", "first"), [(ALPN_ENROL, "enrol-start"), (ALPN_LOGIN, "password-login")])
def test_nothing_but_the_first_word_is_understood_without_a_certificate(
    tmp_path: Path, protocol: str, first: str
) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, _, _user):
            for name, sample in SAMPLES.items():
                if name == first:
                    continue
                tls, _ = await first_contact(gm.endpoint, protocol)
                conversation = Conversation(tls, 1 << 16)
                await conversation.send(sample)
                answer = await _answer(conversation)
                assert isinstance(answer, messages.Refusal), name
                assert await _is_closed(conversation), name
                tls.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["appliance", "user"])
def test_nothing_but_a_ticket_is_understood_on_a_leg(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            party = {"appliance": appliance, "user": user}[kind]
            for name, sample in SAMPLES.items():
                contact = await connect_pinned(gm.endpoint, gm.pin, ALPN_RELAY, party.identity)
                conversation = Conversation(contact.tls, 1 << 16)
                await conversation.send(sample)
                answer = await _answer(conversation)
                assert isinstance(answer, messages.Refusal), name
                expected = {"relay-hello": {"ticket"}}.get(name, {"unknown-message", "protocol"})
                assert answer.code in expected, name
                assert await _is_closed(conversation), name
                contact.close()

    asyncio.run(scenario())


def test_hello_is_said_and_the_connection_closed_whatever_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, _, _user):
            gm.clock.hold()
            tls, certificate = await first_contact(gm.endpoint, ALPN_HELLO)
            conversation = Conversation(tls, 1 << 16)
            hello = await conversation.receive(messages.HELLO_TO_PARTY)
            assert isinstance(hello, messages.GmHello)
            assert hello.unix_time_s == gm.clock()
            assert certificate == gm.pin.certificate
            assert await _is_closed(conversation)
            tls.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("protocol", ["gatelink-control/1", "gatelink-relay/1"])
def test_no_word_is_exchanged_when_the_certificate_is_not_ours(tmp_path: Path, protocol: str) -> None:
    async def scenario() -> None:
        from inproc.parties import party_identity

        async with connected_plant(tmp_path / "gm") as (gm, _, _user):
            for stranger in (party_identity(), None):
                contact = await connect_pinned(gm.endpoint, gm.pin, protocol, stranger)
                # In TLS 1.3 the client hears of the refusal with its first read.
                assert await _is_closed(Conversation(contact.tls, 1 << 16))
                contact.close()
            await until(lambda: gm.server.strangers.counts["tls"] == 2)

    asyncio.run(scenario())


def test_refusal_can_be_read_when_the_visitor_had_said_much_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, _, _user):
            for _ in range(20):
                tls, _ = await first_contact(gm.endpoint, ALPN_ENROL)
                conversation = Conversation(tls, 1 << 16)
                await conversation.send(messages.Ping(token=1))
                for _ in range(10):
                    await drive(tls, lambda tls=tls: tls.send(b"x" * 8192))  # type: ignore[misc]
                assert isinstance(await _answer(conversation), messages.Refusal)
                tls.close()

    asyncio.run(scenario())

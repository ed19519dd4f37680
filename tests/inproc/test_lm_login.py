"""The agent's login against a scripted GateManager: trust, refusals, and what is kept."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from gatelink.exceptions import LinkError, Refused
from gatelink.messages import LoginAnswer, LoginChallenge, LoginResend, Refusal
from gatelink.pins import make_statement
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_CONTROL, ALPN_HELLO
from inproc.lm_office import PASSWORD, Office, office_and_gm
from inproc.parties import gm_identity
from lm_client.core.local import ConnectedTo, ConnectTo, GetStatus, LoggedIn, Status


async def _fails(office: Office, kind: type[Exception], text: str, password: str = PASSWORD) -> None:
    with pytest.raises(kind, match=text):
        async with office.logged_in(password=password):
            pass
    assert not office.reports
    assert not office.home.socket_path.exists()


def test_who_is_reported_when_the_login_is_good(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            (report,) = office.reports
            assert isinstance(report, LoggedIn)
            assert (report.user, report.gm_name, report.locked_now) == ("anna", "gm", False)
            assert (report.pin.serial, report.pin.how) == (gm.scripted.pin.serial, "proof")
            assert gm.logins[0].route.port == gm.scripted.endpoint.port
            status = await office.ask(GetStatus(), Status)
            assert status.connected

    asyncio.run(run())


def test_login_fails_at_once_when_the_gm_refuses_the_password(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            await _fails(office, Refused, "refused the login: the password is wrong", "not the password")
            assert len(gm.logins) == 1

    asyncio.run(run())


def test_login_fails_at_once_when_nobody_answers(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            await gm.scripted.stop()
            await _fails(office, LinkError, "cannot reach 127.0.0.1")

    asyncio.run(run())


def test_login_names_both_certificates_when_the_pin_does_not_match(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            expected = gm.scripted.pin
            gm.scripted.identity = gm_identity()
            text = f"expected serial {expected.serial} .*got serial {gm.scripted.pin.serial} "
            await _fails(office, LinkError, text)
            assert gm.logins == []
            assert office.home.profile().pin_certificate == expected.certificate

    asyncio.run(run())


def test_gm_is_told_of_an_impostor_when_the_login_itself_met_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            genuine, gm.scripted.identity = gm.scripted.identity, gm_identity()
            impostor = gm.scripted.pin
            await _fails(office, LinkError, f"got serial {impostor.serial} ")
            gm.scripted.identity = genuine
            async with office.logged_in():
                (alarm,) = gm.logins[0].pin_alarms
                assert (alarm.serial, alarm.key_sha256) == (impostor.serial, impostor.key_sha256)
                assert alarm.route.port == gm.scripted.endpoint.port
                await office.until(lambda: not office.home.alarms_path.exists(), "the alarm to be told")
            office.reports.clear()
            async with office.logged_in():
                assert gm.logins[1].pin_alarms == ()

    asyncio.run(run())


def _challenge(text: str, tries_left: int) -> LoginChallenge:
    return LoginChallenge(kinds=("sms", "totp"), text=text, expires_s=60.0, resend_after_s=30.0, tries_left=tries_left)


def test_person_is_asked_until_the_code_is_right_and_not_again_when_the_line_breaks(tmp_path: Path) -> None:
    async def run() -> None:
        words: list[LoginAnswer | LoginResend] = [
            LoginResend(),
            LoginAnswer(kind="sms", code="000000"),
            LoginAnswer(kind="totp", code="123456"),
        ]
        asked: list[str] = []

        async def prompt(challenge: LoginChallenge) -> LoginAnswer | LoginResend:
            asked.append(challenge.text)
            return words[len(asked) - 1]

        async with office_and_gm(tmp_path) as (office, gm):
            gm.challenges = (_challenge("sent", 3), _challenge("sent again", 3), _challenge("wrong", 2))
            async with office.logged_in(prompt=prompt):
                assert asked == ["sent", "sent again", "wrong"]
                assert gm.answers == words
                gm.hang_up()
                await gm.until(lambda: len(gm.logins) == 2, "the next login")
                assert gm.logins[1].resume == b"r" * 32
                assert len(asked) == 3

    asyncio.run(run())


def test_login_fails_when_a_code_is_asked_for_and_nobody_is_there(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            gm.challenges = (_challenge("a code was sent to +49 ...77", 3),)
            await _fails(office, LinkError, r"asks for a code, and nobody is there .* sent to \+49 \.\.\.77")

    asyncio.run(run())


def test_pin_is_followed_and_kept_when_a_successor_is_proved(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            before, gm.scripted.identity = gm.scripted.identity, gm_identity()
            gm.scripted.statements = (make_statement(before, gm.scripted.identity.certificate),)
            async with office.logged_in():
                kept = office.home.profile()
                assert (kept.pin_certificate, kept.pin_how) == (gm.scripted.identity.certificate, "succession")
                assert "signed for by the old one" in office.log

    asyncio.run(run())


def test_certificate_is_locked_to_when_met_for_the_first_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            office.save_profile(pinned=False)
            async with office.logged_in():
                (report,) = office.reports
                assert isinstance(report, LoggedIn)
                assert report.locked_now
                assert (report.pin.serial, report.pin.how) == (gm.scripted.pin.serial, "first-use")
            office.reports.clear()
            gm.scripted.identity = gm_identity()
            await _fails(office, LinkError, "is not the pinned one")

    asyncio.run(run())


def test_lock_holds_when_the_first_login_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            office.save_profile(pinned=False)
            await _fails(office, Refused, "the password is wrong", "not the password")
            assert office.home.profile().pin_certificate == gm.scripted.identity.certificate

    asyncio.run(run())


def test_nothing_is_locked_to_when_no_gm_answers(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm):
            office.save_profile(pinned=False)

            async def mumble(tls: ssl.SSLSocket) -> None:
                await Conversation(tls, 1024).send(Refusal(code="no", text="not here"))

            gm.scripted.scripts[ALPN_HELLO] = mumble
            await _fails(office, LinkError, "answers, but not as a GateManager")
            assert office.home.profile().pin_certificate == b""

    asyncio.run(run())


def test_addresses_are_kept_when_the_gm_tells_them(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, _), office.logged_in():
            profile = office.home.profile()
            assert (profile.addresses, profile.learnt_addresses) == (("127.0.0.1",), ("::1",))

    asyncio.run(run())


def test_agent_ends_with_its_sessions_when_the_login_is_refused_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await office.ask(ConnectTo(target="press"), ConnectedTo)

            async def refuse(tls: ssl.SSLSocket) -> None:
                text = "this account cannot log in any more"
                await Conversation(tls, 1024).send(Refusal(code="login", text=text))

            gm.scripted.scripts[ALPN_CONTROL] = refuse
            gm.hang_up()
            with pytest.raises(Refused, match="this account cannot log in any more"):
                await office.work_done()
            assert office.routes == {}
            assert not office.home.socket_path.exists()

    asyncio.run(run())


def test_agent_ends_when_another_one_takes_its_place_again_and_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            for number in range(1, 4):
                await gm.until(lambda number=number: len(gm.logins) == number, "a login")  # type: ignore[misc]
                gm.refuse("replaced", "the same LinkManager logged in again")
            with pytest.raises(Refused, match="another LinkManager logs in with the same certificate"):
                await office.work_done()

    asyncio.run(run())


def test_connect_says_why_when_there_is_no_connection(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await gm.scripted.stop()
            gm.hang_up()
            await office.until(lambda: "next attempt" in office.log, "the loss")
            with pytest.raises(Refused, match="there is no connection to the GateManager: "):
                await office.ask(ConnectTo(target="press"), ConnectedTo)
            assert not (await office.ask(GetStatus(), Status)).connected

    asyncio.run(run())

"""The four login methods in a LinkManager, with their second factors, wrong at every step."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.exceptions import GatelinkError, LinkError, Refused
from gatelink.identity import new_key
from gatelink.link.enrolment import Enrolment
from gatelink.link.login import password_login
from gatelink.messages import (
    GM_TO_USER,
    ApplianceList,
    EndSession,
    ListAppliances,
    LoginAnswer,
    LoginChallenge,
    LoginResend,
    Ping,
    Pong,
    Refusal,
    Welcome,
)
from gm_server.accounts.attempts import CODE_S, TRIES
from gm_server.accounts.factors import begin_totp, make_recovery_codes
from gm_server.accounts.issuing import LOGIN_LIFETIME_S
from gm_server.accounts.login import RESUME_S
from gm_server.accounts.totp import STEP_S, code_of_step
from gm_server.accounts.users import get_user
from gm_server.audit.chain import FIRST
from gm_server.database.tables import AuditEntry, Domain
from inproc.gm_running import PASSWORD, RunningGm, User, connected_plant, open_session, running_gm, until
from inproc.text_service import SECRET, TextService, text_service

PHONE = "+4915123456789"
Prompt = Callable[[LoginChallenge], Awaitable[LoginAnswer | LoginResend]]


def _person(gm: RunningGm, method: str | None, phone: str = PHONE) -> None:
    def change(session: Session) -> None:
        user = get_user(session, "ada")
        user.login_method, user.phone = method, phone

    gm.write(change)


def _app(gm: RunningGm) -> bytes:
    """Give ada an authenticator app; return its secret."""

    def add(session: Session) -> bytes:
        factor = begin_totp(session, get_user(session, "ada").id, "phone", gm.clock())
        factor.confirmed_at = gm.clock()
        return factor.secret

    return gm.write(add)


def _recovery(gm: RunningGm) -> tuple[str, ...]:
    return gm.write(lambda session: make_recovery_codes(session, get_user(session, "ada").id))


def _code(gm: RunningGm, secret: bytes) -> str:
    return code_of_step(secret, int(gm.clock() // STEP_S))


async def _by_password(gm: RunningGm, prompt: Prompt, user: str = "ada", password: str = PASSWORD) -> Enrolment:
    return await password_login((gm.endpoint,), gm.pin, user, password, new_key(), "lm test", prompt)


async def _nothing_is_asked(challenge: LoginChallenge) -> LoginAnswer:
    raise AssertionError(challenge)


def _texted(service: TextService) -> Prompt:
    async def prompt(challenge: LoginChallenge) -> LoginAnswer:
        assert challenge.text.endswith("89")
        return LoginAnswer(kind="sms", code=service.code)

    return prompt


def _events(gm: RunningGm) -> list[tuple[str, str, dict[str, object]]]:
    query = select(AuditEntry).order_by(AuditEntry.number)
    return gm.read(
        lambda session: [(entry.event, entry.result, json.loads(entry.details)) for entry in session.scalars(query)]
    )


def test_password_is_enough_when_the_method_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            await gm.enrolled_user()
            _person(gm, "password", phone="")
            enrolled = await _by_password(gm, _nothing_is_asked)
            assert (enrolled.name, enrolled.domain) == ("ada", "acme")
            user = User(gm, enrolled)
            assert isinstance(await user.log_in(), Welcome)
            # The certificate ends with the day, the password is asked for with it, too.
            refused = await user.log_in(password="not the password")
            assert isinstance(refused, Refusal)
            gm.clock.ahead_s += LOGIN_LIFETIME_S + 1
            refused = await user.log_in()
            assert isinstance(refused, Refusal)
            assert refused.code == "login"
            user.close()

    asyncio.run(scenario())


def test_session_and_connection_end_with_the_login_when_its_twelve_hours_are_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, office):
            gm.grant()
            _person(gm, "password", phone="")
            user = User(gm, await _by_password(gm, _nothing_is_asked))
            assert isinstance(await user.log_in(), Welcome)
            session = await open_session(user, appliance)
            gm.clock.ahead_s += LOGIN_LIFETIME_S + 1
            assert await session.is_cut()
            session.close()
            ended = await user.hear_kind(EndSession)
            assert (ended.session_id, ended.code) == (session.session_id, "login-over")
            refusal = await user.hear_kind(Refusal)
            assert (refusal.code, ended.reason) == ("login", refusal.text)
            assert "12 hours" in refusal.text
            # What comes back by itself with the same certificate hears the same, whatever the password.
            assert await user.log_in() == refusal
            assert await user.log_in(password="another") == refusal
            user.close()
            # Another PC of his, with a certificate for long, is not concerned.
            await office.say(ListAppliances(request_id=1))
            await office.hear_kind(ApplianceList)
            anew = User(gm, await _by_password(gm, _nothing_is_asked))
            assert isinstance(await anew.log_in(), Welcome)
            anew.close()

    asyncio.run(scenario())


def test_method_comes_from_the_nearest_domain_when_the_user_has_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            await gm.enrolled_user()
            with pytest.raises(Refused, match="needs its certificate"):
                await _by_password(gm, _nothing_is_asked)

            def allow(session: Session) -> None:
                session.scalars(select(Domain).where(Domain.path == "acme")).one().login_method = "password"

            gm.write(allow)
            enrolled = await _by_password(gm, _nothing_is_asked)
            # What a login without a certificate brought is worth no more than that login.
            _person(gm, "certificate")
            user = User(gm, enrolled)
            assert isinstance(await user.log_in(), Refusal)
            user.close()

    asyncio.run(scenario())


def test_text_message_is_asked_for_when_there_is_no_certificate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            gm.plant()
            await gm.enrolled_user()
            _person(gm, "password+sms")
            user = User(gm, await _by_password(gm, _texted(service)))
            assert service.sent[0][0] == PHONE
            assert service.authorisations == [f"Bearer {SECRET}"]
            # The certificate stands for both: nothing more is asked.
            assert isinstance(await user.log_in(), Welcome)
            assert len(service.sent) == 1
            user.close()
            events = _events(gm)
            assert [event for event, _, _ in events if event.startswith(("login", "factor", "message"))] == [
                "message.sent",
                "factor.sent",
                "login.done",
                "login.done",
            ]
            assert service.sent[0][1] not in str(events)
            assert service.code not in str(events)

    asyncio.run(scenario())


def test_broken_line_asks_for_no_other_code_until_half_a_day_is_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            gm.plant()
            user = User(gm, await gm.enrolled_user())
            _person(gm, "certificate+sms")
            challenge = await user.log_in()
            assert isinstance(challenge, LoginChallenge)
            assert (challenge.kinds, challenge.tries_left) == (("sms",), TRIES)
            await user.say(LoginAnswer(kind="sms", code=service.code))
            welcome = await user.hear_kind(Welcome)
            again = await user.log_in(resume=welcome.resume)
            assert isinstance(again, Welcome)
            assert again.resume == welcome.resume
            # Another PC with the same certificate does not have the word, nor does a made-up one help.
            assert isinstance(await user.log_in(), LoginChallenge)
            assert isinstance(await user.log_in(resume=bytes(40)), LoginChallenge)
            gm.clock.ahead_s += RESUME_S + 1
            assert isinstance(await user.log_in(resume=welcome.resume), LoginChallenge)
            user.close()

    asyncio.run(scenario())


def test_login_ends_when_five_codes_were_wrong(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            gm.plant()
            user = User(gm, await gm.enrolled_user())
            _person(gm, "certificate+sms")
            await user.log_in()
            wrong = f"{(int(service.code) + 1) % 10**6:06d}"
            for left in range(TRIES - 1, 0, -1):
                await user.say(LoginAnswer(kind="sms", code=wrong))
                assert (await user.hear_kind(LoginChallenge)).tries_left == left
            await user.say(LoginAnswer(kind="sms", code=wrong))
            assert (await user.hear_kind(Refusal)).code == "login"
            user.close()
            # The right code of that login opens no other one.
            before = service.code
            await user.log_in()
            if service.code != before:
                await user.say(LoginAnswer(kind="sms", code=before))
                assert isinstance(await user.hear(), LoginChallenge)
            # A code counts for five minutes.
            gm.clock.ahead_s += CODE_S + 1
            await user.say(LoginAnswer(kind="sms", code=service.code))
            assert isinstance(await user.hear(), LoginChallenge)
            # A new one is sent on demand, and is the only one that counts.
            await user.say(LoginResend())
            assert isinstance(await user.hear(), LoginChallenge)
            await user.say(LoginAnswer(kind="sms", code=service.code))
            assert isinstance(await user.hear(), Welcome)
            failed = [details for event, _, details in _events(gm) if event == "login.failed"]
            assert {"step": "second factor", "kind": "sms"} in failed
            user.close()

    asyncio.run(scenario())


def test_nobody_gets_in_when_the_provider_is_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            gm.plant()
            user = User(gm, await gm.enrolled_user())
            _person(gm, "certificate+sms")
            service.status = 503
            challenge = await user.log_in()
            assert isinstance(challenge, LoginChallenge)
            assert "could not be sent" in challenge.text
            await user.say(LoginAnswer(kind="sms", code=" "))
            assert isinstance(await user.hear(), LoginChallenge)
            service.status = 200
            await user.say(LoginResend())
            await user.hear_kind(LoginChallenge)
            await user.say(LoginAnswer(kind="sms", code=service.code))
            assert isinstance(await user.hear(), Welcome)
            user.close()
            failed = [
                details for event, result, details in _events(gm) if (event, result) == ("message.failed", "failed")
            ]
            assert {"kind": "sms", "to": "+49...89", "error": "service answered with the status 503"} in failed
            _person(gm, "certificate+sms", phone="")
            refused = await user.log_in()
            assert isinstance(refused, Refusal)
            assert refused.code == "no-factor"
            user.close()

    asyncio.run(scenario())


def test_app_and_recovery_codes_stand_for_the_text_message(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            gm.plant()
            user = User(gm, await gm.enrolled_user())
            _person(gm, "certificate+sms")
            secret, codes = _app(gm), _recovery(gm)
            challenge = await user.log_in()
            assert isinstance(challenge, LoginChallenge)
            assert challenge.kinds == ("totp", "sms", "recovery")
            assert not service.sent
            code = _code(gm, secret)
            await user.say(LoginAnswer(kind="totp", code=code))
            assert isinstance(await user.hear(), Welcome)
            # No code counts twice; a later one does.
            assert isinstance(await user.log_in(), LoginChallenge)
            await user.say(LoginAnswer(kind="totp", code=code))
            assert isinstance(await user.hear(), LoginChallenge)
            await user.say(LoginAnswer(kind="recovery", code=codes[3].upper().replace("-", " ")))
            assert isinstance(await user.hear(), Welcome)
            assert isinstance(await user.log_in(), LoginChallenge)
            await user.say(LoginAnswer(kind="recovery", code=codes[3]))
            assert isinstance(await user.hear(), LoginChallenge)
            await user.say(LoginResend())
            assert isinstance(await user.hear(), LoginChallenge)
            await user.say(LoginAnswer(kind="sms", code=service.code))
            assert isinstance(await user.hear(), Welcome)
            # Who has an app is asked for it, whatever the method; a text message is no way around it.
            _person(gm, "certificate")
            challenge = await user.log_in()
            assert isinstance(challenge, LoginChallenge)
            assert challenge.kinds == ("totp", "recovery")
            user.close()

    asyncio.run(scenario())


def test_same_words_and_work_when_the_name_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    verify = PasswordHasher.verify

    def counting(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
        verified.append(password_hash)
        return verify(hasher, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)

    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            await gm.enrolled_user()
            texts, parameters = set(), set()
            # Unknown; wrong password; right password without the certificate that this account needs.
            for name, password in (("nobody", PASSWORD), ("ada", "wrong password"), ("ada", PASSWORD)):
                verified.clear()
                with pytest.raises(Refused) as refused:
                    await _by_password(gm, _nothing_is_asked, name, password)
                texts.add((refused.value.code, str(refused.value)))
                # One Argon2 each, of the same cost.
                parameters.add(tuple(str(extract_parameters(password_hash)) for password_hash in verified))
            assert len(texts) == 1
            ((_,),) = parameters
            # Both are slowed alike.
            for name in ("nobody", "ada"):
                code = "login"
                while code == "login":
                    with pytest.raises(Refused) as refused:
                        await _by_password(gm, _nothing_is_asked, name, "wrong password")
                    code = refused.value.code
                assert code == "try-later"
            assert "nobody" not in str(_events(gm))

    asyncio.run(scenario())


def test_owner_gets_in_while_somebody_else_guesses(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            await gm.enrolled_user()
            _person(gm, "password", phone="")
            await _by_password(gm, _nothing_is_asked)
            account = hashlib.sha256(b"ada").hexdigest()
            # Guessers from elsewhere have used up the account's patience.
            for _ in range(30):
                gm.server.logins._by_account.attempt(account, gm.clock())
            assert gm.server.logins._by_account.wait_s(account, gm.clock()) > 30
            await _by_password(gm, _nothing_is_asked)

    asyncio.run(scenario())


def test_prompt_is_left_alone_when_the_person_gives_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            gm.plant()
            await gm.enrolled_user()
            _person(gm, "password+sms")

            async def give_up(_challenge: LoginChallenge) -> LoginAnswer:
                raise LinkError("no code was entered")

            with pytest.raises(GatelinkError, match="no code was entered"):
                await _by_password(gm, give_up)
            assert len(service.sent) == 1
            await until(lambda: not len(gm.server.logins.attempts))

    asyncio.run(scenario())


def test_line_is_kept_alive_while_somebody_looks_for_his_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatelink.link.login.KEEPALIVE_S", 0.05)

    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            gm.plant()
            user = User(gm, await gm.enrolled_user())
            _person(gm, "password+sms")

            async def slowly(_challenge: LoginChallenge) -> LoginAnswer:
                await asyncio.sleep(0.5)
                return LoginAnswer(kind="sms", code=service.code)

            assert (await _by_password(gm, slowly)).name == "ada"
            _person(gm, "certificate+sms")
            assert isinstance(await user.log_in(), LoginChallenge)
            for token in range(3):
                await user.say(Ping(token=token))
                assert user.conversation is not None
                assert await user.conversation.receive(GM_TO_USER) == Pong(token=token)
            # Nothing else is understood before the code.
            await user.say(LoginAnswer(kind="sms", code="no code"))
            await user.hear_kind(LoginChallenge)
            await user.say(ListAppliances(request_id=1))
            assert (await user.hear_kind(Refusal)).code == "protocol"
            user.close()

    asyncio.run(scenario())


def test_chain_holds_what_was_recorded(tmp_path: Path) -> None:
    from gm_server.audit.chain import Entry, entry_hash

    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            user = User(gm, await gm.enrolled_user())
            await user.log_in()
            await user.log_in("wrong password")
            user.close()
            previous = FIRST
            for row in gm.read(lambda session: list(session.scalars(select(AuditEntry).order_by(AuditEntry.number)))):
                fields = {name: getattr(row, name) for name in Entry.__struct_fields__}
                previous = entry_hash(previous, Entry(**fields | {"details": json.loads(row.details)}))
                assert previous == row.hash

    asyncio.run(scenario())

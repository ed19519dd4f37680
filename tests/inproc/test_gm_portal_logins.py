"""The four login methods at the portal, over real TLS, wrong at every step; cookies, sessions, what strangers try."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.claims import claim_text
from gatelink.identity import from_pkcs12
from gatelink.link.enrolment import Enrolment
from gm_server.accounts.factors import begin_totp, make_recovery_codes
from gm_server.accounts.totp import STEP_S, code_of_step
from gm_server.accounts.users import add_user, get_user
from gm_server.accounts.web_sessions import ABSOLUTE_S, CONFIRMED_S, IDLE_S
from gm_server.acts.people import RENEWAL_S
from gm_server.database.tables import AuditEntry, Outgoing, UserCertificate
from gm_server.web.places import own_path
from inproc.gm_running import DEADLINE_S, PASSWORD, RunningGm, running_gm
from inproc.portal_person import LOGIN, SESSION, Person
from inproc.text_service import text_service

ELSEWHERE = (
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    " //evil.example",
    "javascript:alert(1)",
    "///evil.example/%2e%2e",
    "https:evil.example",
    "/x\r\nSet-Cookie: x=y",
)


@contextlib.asynccontextmanager
async def portal(path: Path, method: str | None) -> AsyncIterator[tuple[RunningGm, Enrolment]]:
    """A GateManager with ada, who has a certificate and logs in by ``method``."""
    async with running_gm(path / "gm", addresses=("127.0.0.1", "localhost")) as gm:
        gm.plant()
        enrolment = await gm.enrolled_user()

        def change(session: Session) -> None:
            user = get_user(session, "ada")
            user.login_method, user.phone, user.email = method, "+4915123456789", "ada@acme.example"

        gm.write(change)
        yield gm, enrolment


def _events(gm: RunningGm) -> list[str]:
    query = select(AuditEntry.event).order_by(AuditEntry.number)
    return gm.read(lambda session: list(session.scalars(query)))


def test_certificate_and_password_let_in_when_both_are_right(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, None) as (gm, enrolment):
            async with Person(gm, tmp_path, enrolment.identity) as ada, Person(gm, tmp_path) as thief:
                assert "certificate of ada" in (await ada.open("/sign-in")).text
                assert (await ada.sign_in(password="not the password")).status_code == 401
                assert not ada.secret
                answer = await ada.sign_in()
                assert (answer.status_code, answer.headers["location"]) == (303, "/account")
                assert await ada.is_in()
                # The password alone, and the cookie alone, are of no use to anybody else.
                refused = await thief.sign_in()
                assert refused.status_code == 401
                assert "needs its certificate" in refused.text
                thief.client.cookies.set(SESSION, ada.secret, domain="127.0.0.1")
                assert not await thief.is_in()
                assert await ada.is_in()
            # A revoked certificate is nobody's.
            gm.write(lambda session: setattr(session.scalars(select(UserCertificate)).one(), "revoked_at", 1.0))
            async with Person(gm, tmp_path, enrolment.identity) as ada:
                assert (await ada.sign_in()).status_code == 401

    asyncio.run(scenario())


def test_text_message_is_asked_for_with_and_without_a_certificate(tmp_path: Path) -> None:
    async def scenario() -> None:
        for method, with_certificate in (("certificate+sms", True), ("password+sms", False)):
            path = tmp_path / method
            path.mkdir()
            async with portal(path, method) as (gm, enrolment), text_service(gm) as service:
                identity = enrolment.identity if with_certificate else None
                async with Person(gm, path, identity) as ada, Person(gm, path) as other:
                    answer = await ada.sign_in()
                    assert answer.headers["location"].startswith("/sign-in/code")
                    assert not ada.secret
                    assert not await ada.is_in()
                    wrong = f"{(int(service.code) + 1) % 10**6:06d}"
                    assert (await ada.code("sms", wrong)).status_code == 401
                    # A code is of that login alone: nobody else's browser can use it.
                    await other.sign_in()
                    if with_certificate:
                        assert (await other.client.get("/sign-in/code")).status_code == 303
                    right = await ada.code("sms", service.sent[0][1].split()[1])
                    assert right.status_code == 303, right.text
                    assert await ada.is_in()
                    assert {"factor.sent", "login.done", "login.failed"} <= set(_events(gm))

    asyncio.run(scenario())


def test_app_and_recovery_code_let_in_where_a_second_factor_is_set_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, "password") as (gm, _):

            def add(session: Session) -> tuple[bytes, tuple[str, ...]]:
                user = get_user(session, "ada")
                factor = begin_totp(session, user.id, "phone", gm.clock())
                factor.confirmed_at = gm.clock()
                return factor.secret, make_recovery_codes(session, user.id)

            secret, codes = gm.write(add)
            async with Person(gm, tmp_path) as ada:
                await ada.sign_in()
                code = code_of_step(secret, int(gm.clock() // STEP_S))
                assert (await ada.code("totp", code)).status_code == 303
                assert await ada.is_in()
            async with Person(gm, tmp_path) as ada:
                await ada.sign_in()
                assert (await ada.code("totp", code)).status_code == 401
                assert (await ada.code("recovery", codes[0])).status_code == 303
                assert await ada.is_in()
            async with Person(gm, tmp_path) as thief:
                await thief.sign_in()
                for _ in range(4):
                    assert (await thief.code("recovery", "no code of hers")).status_code == 401
                assert "begin again" in (await thief.code("recovery", codes[0] + "x")).text
                assert (await thief.client.get("/sign-in/code")).status_code == 303

    asyncio.run(scenario())


def test_every_step_has_another_secret_and_cookies_are_bound_to_the_host(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            portal(tmp_path, "password+sms") as (gm, _),
            text_service(gm) as service,
            Person(gm, tmp_path) as ada,
        ):
            # Somebody else's choice of secrets is of no use: neither survives the login.
            planted = "A" * 43
            ada.client.cookies.set(SESSION, planted, domain="127.0.0.1")
            ada.client.cookies.set(LOGIN, planted, domain="127.0.0.1")
            await ada.sign_in()
            at_password = [cookie.value for cookie in ada.client.cookies.jar if cookie.name == LOGIN]
            assert planted not in at_password[-1:]
            answer = await ada.code("sms", service.code)
            set_cookies = answer.headers.get_list("set-cookie")
            assert len(set_cookies) == 3
            for cookie in set_cookies:
                assert cookie.startswith("__Host-gatelink")
                assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
                assert "domain" not in cookie.lower()
            given = next(cookie for cookie in set_cookies if cookie.startswith(f"{SESSION}="))
            assert planted not in given
            ada.client.cookies.clear()
            ada.client.cookies.set(SESSION, planted, domain="127.0.0.1")
            assert not await ada.is_in()

    asyncio.run(scenario())


def test_session_ends_when_idle_when_old_and_when_signed_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            portal(tmp_path, "password") as (gm, _),
            Person(gm, tmp_path) as ada,
            Person(gm, tmp_path) as at_home,
        ):
            await ada.sign_in()
            gm.clock.ahead_s += IDLE_S - 60
            assert await ada.is_in()
            gm.clock.ahead_s += IDLE_S - 60
            assert await ada.is_in()
            gm.clock.ahead_s += IDLE_S + 1
            assert not await ada.is_in()
            await ada.sign_in()
            for _ in range(int(ABSOLUTE_S / (IDLE_S / 2)) - 1):
                gm.clock.ahead_s += IDLE_S / 2
                assert await ada.is_in()
            gm.clock.ahead_s += IDLE_S / 2
            assert not await ada.is_in()
            await ada.sign_in()
            await at_home.sign_in()
            old = ada.secret
            await ada.open("/account")
            await ada.send("/account/browsers/sign-out-others")
            assert not await at_home.is_in()
            await ada.open("/account")
            assert (await ada.send("/sign-out")).headers["location"] == "/sign-in"
            ada.client.cookies.set(SESSION, old, domain="127.0.0.1")
            assert not await ada.is_in()
            assert _events(gm).count("login.ended") == 2

    asyncio.run(scenario())


def test_forms_are_taken_from_our_pages_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, "password") as (gm, _), Person(gm, tmp_path) as ada, Person(gm, tmp_path) as other:
            await ada.open("/sign-in")
            await other.open("/sign-in")
            fields = {"name": "ada", "password": PASSWORD}
            for token in ("", "0" * 64, other.token):
                assert (await ada.send("/sign-in", token, **fields)).status_code == 400
                await ada.open("/sign-in")
            ada.origin = "https://evil.example"
            assert (await ada.send("/sign-in", **fields)).status_code == 400
            ada.origin = ada.base
            await ada.sign_in()
            page = await ada.open("/account")
            assert page.status_code == 200
            for path in ("/account/browsers/sign-out-others", "/sign-out", "/account/language"):
                assert (await ada.send(path, "0" * 64)).status_code == 403
                await ada.open("/account")
                ada.origin = "https://evil.example"
                assert (await ada.send(path)).status_code == 403
                ada.origin = ada.base
                await ada.open("/account")
            assert await ada.is_in()

    asyncio.run(scenario())


def test_owner_gets_in_by_a_browser_that_is_known_while_somebody_guesses(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, "password") as (gm, _), Person(gm, tmp_path) as ada, Person(gm, tmp_path) as other:
            await ada.sign_in()
            await ada.open("/account")
            await ada.send("/sign-out")
            # Guessers elsewhere and in her own office have used all patience up; where she was is forgotten.
            logins = gm.server.logins
            logins._known_places.clear()
            for key, throttle in (
                (hashlib.sha256(b"ada").hexdigest(), logins._by_account),
                ("127.0.0.1", logins._by_address),
            ):
                for _ in range(40):
                    throttle.attempt(key, gm.clock())
            assert (await other.sign_in()).status_code == 429
            assert (await ada.sign_in()).status_code == 303
            # Her cookie is of no use for another account.
            gm.write(lambda session: add_user(session, "bob", "acme", gm.clock()))
            await ada.open("/account")
            await ada.send("/sign-out")
            assert (await ada.sign_in("bob")).status_code == 429

    asyncio.run(scenario())


def test_certificate_of_somebody_else_counts_for_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, None) as (gm, enrolment):
            gm.write(lambda session: add_user(session, "bob", "acme", gm.clock()))
            await gm.enrolled_user("bob")
            async with Person(gm, tmp_path, enrolment.identity) as bob:
                assert (await bob.sign_in("bob")).status_code == 401
                gm.write(lambda session: setattr(get_user(session, "bob"), "login_method", "password"))
                assert (await bob.sign_in("bob")).status_code == 303
                # His session is bound to no certificate, and not to hers.
                async with Person(gm, tmp_path) as without:
                    without.client.cookies.set(SESSION, bob.secret, domain="127.0.0.1")
                    assert await without.is_in()

    asyncio.run(scenario())


def test_every_answer_forbids_frames_scripts_and_plain_http(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, "password") as (gm, _), Person(gm, tmp_path) as ada:
            for path in ("/sign-in", "/reset", "/invitation", "/sign-in/code", "/account", "/no-such-page"):
                headers = (await ada.open(path)).headers
                policy = headers["content-security-policy"]
                assert "frame-ancestors 'none'" in policy
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert headers["x-frame-options"] == "DENY"
                assert "max-age=" in headers["strict-transport-security"]
                assert headers["cache-control"] == "no-store"

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ELSEWHERE)
def test_nobody_is_led_elsewhere(address: str) -> None:
    assert own_path(address) == "/"
    assert own_path("/appliances/sm-1?tab=devices") == "/appliances/sm-1?tab=devices"


def test_sign_in_leads_nowhere_else_whatever_the_form_says(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, "password") as (gm, _), Person(gm, tmp_path) as ada:
            for address in ELSEWHERE:
                await ada.open("/sign-in")
                answer = await ada.send("/sign-in", name="ada", password=PASSWORD, next=address)
                assert (answer.status_code, answer.headers["location"]) == (303, "/")

    asyncio.run(scenario())


def test_dangerous_things_ask_again_who_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, "password") as (gm, _):
            async with Person(gm, tmp_path) as ada:
                await ada.sign_in()
                gm.clock.ahead_s += CONFIRMED_S + 1
                answer = await ada.open("/account/password")
                assert answer.headers["location"] == "/sign-in?next=%2Faccount%2Fpassword"
                page = await ada.open("/sign-in?next=/account/password")
                assert "Confirm that it is you" in page.text
                before = ada.secret
                # Only for himself: the name that is sent does not count.
                answer = await ada.send("/sign-in", name="somebody", password=PASSWORD, next="/account/password")
                assert answer.headers["location"] == "/account/password"
                assert ada.secret != before
                await ada.open("/account/password")
                await ada.send("/account/password", password="another horse battery", again="another horse battery")
                assert await ada.is_in()
            async with Person(gm, tmp_path) as ada:
                assert (await ada.sign_in()).status_code == 401
                assert (await ada.sign_in(password="another horse battery")).status_code == 303
            assert "password.changed" in _events(gm)

    asyncio.run(scenario())


def test_account_is_made_by_its_owner_when_the_link_is_opened(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, None) as (gm, _):
            gm.write(lambda session: add_user(session, "bob", "acme", gm.clock()))
            invitation = gm.invitation("bob")
            text = claim_text(invitation)
            async with Person(gm, tmp_path) as bob, Person(gm, tmp_path) as other:
                for person in (bob, other):
                    await person.open("/invitation")
                    assert "bob" in (await person.send("/invitation", invitation=text)).text
                good = {"invitation": text, "password": "a fine password", "again": "a fine password"}
                for wrong in ({"password": "short", "again": "short"}, {"again": "a fine passwort"}):
                    assert (await bob.send("/invitation", **(good | wrong))).status_code == 422
                answer = await bob.send("/invitation", **good)
                assert answer.headers["location"] == "/account"
                assert "asks for a certificate" in (await bob.open("/account")).text
                # It worked once.
                again = await other.send("/invitation", **(good | {"password": "another one", "again": "another one"}))
                assert "used, expired or damaged" in again.text
                assert not other.secret
                await other.open("/invitation")
                assert "copy the whole text again" in (await other.send("/invitation", invitation=text[:-1])).text
                guessed = claim_text(msgspec.structs.replace(invitation, secret=bytes(16)))
                await other.open("/invitation")
                assert "used, expired or damaged" in (await other.send("/invitation", invitation=guessed)).text
                # The certificate as a file: with it, and the password, he gets in from then on.
                await bob.open("/account/certificate")
                file = await bob.send(
                    "/account/certificate", name="office", password="file password", again="file password"
                )
                assert file.headers["content-disposition"] == 'attachment; filename="bob.p12"'
                identity = from_pkcs12(file.content, "file password")
            async with Person(gm, tmp_path) as bob:
                assert (await bob.sign_in("bob", "a fine password")).status_code == 401
            async with Person(gm, tmp_path, identity) as bob:
                assert (await bob.sign_in("bob", "a fine password")).status_code == 303
                # Renewed: the old one is good until the new one had time to take its place.
                replaces = re.search(r"certificate\?replaces=([^\"]+)", (await bob.open("/account")).text)
                assert replaces is not None
                await bob.open(f"/account/certificate?replaces={replaces[1]}")
                fields = {"replaces": replaces[1], "password": "file password", "again": "file password"}
                file = await bob.send("/account/certificate", **fields)
                renewed = from_pkcs12(file.content, "file password")
                assert await bob.is_in()
            gm.clock.ahead_s += RENEWAL_S + 1
            for held, status_code in ((identity, 401), (renewed, 303)):
                async with Person(gm, tmp_path, held) as bob:
                    assert (await bob.sign_in("bob", "a fine password")).status_code == status_code
            # An old link is of no use, and an administrator's new one replaces what was.
            gm.clock.ahead_s += 1
            late = gm.invitation("bob")
            gm.clock.ahead_s += 8 * 86400
            async with Person(gm, tmp_path) as bob:
                await bob.open("/invitation")
                page = await bob.send("/invitation", invitation=claim_text(late))
                assert "used, expired or damaged" in page.text
            assert {"user.invitation-redeemed", "certificate.issued"} <= set(_events(gm))

    asyncio.run(scenario())


def test_second_factors_are_set_up_and_removed_by_their_owner(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, "password") as (gm, _):
            async with Person(gm, tmp_path) as ada:
                await ada.sign_in()
                await ada.open("/account/app")
                page = await ada.send("/account/app", name="phone")
                shown = re.search(r'<code class="secret">([A-Z2-7 ]+)</code>', page.text)
                factor = re.search(r'name="factor" value="([^"]+)"', page.text)
                assert shown is not None
                assert factor is not None
                bare = shown[1].replace(" ", "")
                secret = base64.b32decode(bare + "=" * (-len(bare) % 8))
                wrong = await ada.send("/account/app", factor=factor[1], code="000000")
                assert wrong.status_code == 422
                code = code_of_step(secret, int(gm.clock() // STEP_S))
                assert (await ada.send("/account/app", factor=factor[1], code=code)).status_code == 303
                await ada.open("/account/recovery-codes")
                codes = re.findall(r"<code>([a-z2-7-]{19})</code>", (await ada.send("/account/recovery-codes")).text)
                assert len(set(codes)) == 10
            async with Person(gm, tmp_path) as ada:
                answer = await ada.sign_in()
                assert answer.headers["location"].startswith("/sign-in/code")
                assert (await ada.code("recovery", codes[0])).status_code == 303
                await ada.open("/account")
                assert (await ada.send(f"/account/factors/{factor[1]}/remove")).status_code == 303
                assert (await ada.open("/account")).text.count("9 are left") == 1
            assert {"factor.added", "factor.recovery-codes-made", "factor.removed"} <= set(_events(gm))

    asyncio.run(scenario())


def test_forgotten_password_is_replaced_by_mail_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with portal(tmp_path, "password") as (gm, _):
            async with Person(gm, tmp_path) as ada:
                texts = set()
                for name in ("ada", "nobody"):
                    await ada.open("/reset")
                    page = await ada.send("/reset", name=name)
                    texts.add(re.sub(r"[0-9a-f]{64}", "", page.text))
                assert len(texts) == 1
                mails: list[Outgoing] = []
                async with asyncio.timeout(DEADLINE_S):
                    while not mails:
                        await asyncio.sleep(0.02)
                        mails = gm.read(lambda session: list(session.scalars(select(Outgoing))))
                assert [mail.recipient for mail in mails] == ["ada@acme.example"]
                link = re.search(r"https://127\.0\.0\.1(?::\d+)?(/reset/\S+)", mails[0].body)
                assert link is not None
                await ada.open(link[1])
                answer = await ada.send(link[1], password="a new password", again="a new password")
                assert answer.headers["location"] == "/sign-in"
                assert not ada.secret
                assert "used, expired or damaged" in (await ada.open(link[1])).text
                assert (await ada.sign_in(password="a new password")).status_code == 303
            assert {"password.reset-asked", "password.changed"} <= set(_events(gm))

    asyncio.run(scenario())


def test_certificate_of_another_authority_is_refused_by_tls(tmp_path: Path) -> None:
    async def scenario() -> None:
        from inproc.parties import party_identity

        async with portal(tmp_path, "password") as (gm, _), Person(gm, tmp_path, party_identity()) as stranger:
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
                await stranger.open("/sign-in")

    asyncio.run(scenario())

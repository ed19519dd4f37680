"""Mail through a real SMTP server, and the alarms that it tells of."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import email
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gatelink.identity import key_to_pem, new_key
from gm_server.access.actors import SYSTEM, Actor, Role
from gm_server.accounts.users import add_user, get_user
from gm_server.alarms.records import list_alarms
from gm_server.alarms.settings import AlarmSettings, save_alarm_settings
from gm_server.appliances.domains import get_domain
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Outgoing, RoleRecord, Setting
from gm_server.exceptions import Forbidden
from gm_server.mail import letters
from gm_server.mail.outbox import queue
from gm_server.mail.settings import MailSettings, check_address, load_mail, save_mail
from gm_server.mail.smtp import MailError
from inproc.gm_running import RunningGm, connected_plant, running_gm, until

SECRET = "mail secret of the test"
LETTER = letters.trial("test", "ada")


class PostOffice:
    """An SMTP server with STARTTLS and a login; what it took is in ``taken``."""

    def __init__(self, folder: Path) -> None:
        key = new_key()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
        now = datetime.datetime.now(datetime.UTC)
        loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1)).add_extension(loopback, critical=False)
        certificate = builder.sign(key, hashes.SHA256())
        self.ca_file = folder / "mail.pem"
        self.ca_file.write_bytes(key_to_pem(key) + certificate.public_bytes(Encoding.PEM))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.ca_file)
        self.taken: list[tuple[list[str], email.message.Message]] = []
        self.answer = "250 taken"
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(
                self, tls_context=self._context, require_starttls=True, authenticator=self._login, auth_required=True
            ),
            "127.0.0.1",
            self.port,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - its name
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.taken.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return self.answer

    def settings(self, **changes: Any) -> MailSettings:
        fields = {"host": "127.0.0.1", "port": self.port, "user": "gm", "password": SECRET, **changes}
        return MailSettings(sender="gm@example.com", ca_file=str(self.ca_file), **fields)

    @staticmethod
    def _login(_server: SMTP, _session: Any, _envelope: Any, _mechanism: str, auth: Any) -> AuthResult:
        good = isinstance(auth, LoginPassword) and auth.password == SECRET.encode()
        return AuthResult(success=good, handled=False)


@contextlib.asynccontextmanager
async def _post_office(path: Path) -> AsyncIterator[tuple[RunningGm, PostOffice]]:
    office = PostOffice(path)
    await office.open()
    try:
        async with running_gm(path / "gm") as gm:
            yield gm, office
    finally:
        await office.close()


def _outbox(gm: RunningGm) -> list[Outgoing]:
    def read(session: Session) -> list[Outgoing]:
        found = list(session.scalars(select(Outgoing).order_by(Outgoing.created_at)))
        session.expunge_all()
        return found

    return gm.read(read)


def test_letter_arrives_by_verified_tls_and_its_text_is_wiped_here(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _post_office(tmp_path) as (gm, office):
            gm.write(save_mail, SYSTEM, office.settings(), gm.clock())
            letter = letters.invitation("gm", "Ada Ünal", "https://gm.example.com/first/secret-link", 7)
            assert gm.write(queue, "ada@example.com", letter, gm.clock())
            assert not gm.write(queue, "", letter, gm.clock())
            await until(lambda: len(office.taken) == 1)
            [(recipients, message)] = office.taken
            assert recipients == ["ada@example.com"]
            assert message["From"] == "test <gm@example.com>"
            assert message["Auto-Submitted"] == "auto-generated"
            body = message.get_payload(decode=True)
            assert isinstance(body, bytes)
            assert "Ada Ünal" in body.decode()
            assert "secret-link" in body.decode()
            await until(lambda: _outbox(gm)[0].sent_at is not None)
            assert (_outbox(gm)[0].body, _outbox(gm)[0].next_try_at) == ("", None)

    asyncio.run(scenario())


def test_letter_is_tried_again_until_the_server_is_back_and_given_up_when_it_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _post_office(tmp_path) as (gm, office):
            gm.write(save_mail, SYSTEM, office.settings(), gm.clock())
            await office.close()
            gm.write(queue, "ada@example.com", LETTER, gm.clock())
            await until(lambda: _outbox(gm)[0].tries == 1)
            assert "cannot be reached" in _outbox(gm)[0].error
            await office.open()
            office.answer = "451 later"
            gm.clock.ahead_s += 61
            await until(lambda: _outbox(gm)[0].tries == 2)
            office.answer = "250 taken"
            gm.clock.ahead_s += 121
            await until(lambda: len(office.taken) == 1)
            office.answer = "550 we know you not"
            gm.write(queue, "eve@example.com", LETTER, gm.clock())
            await until(lambda: _outbox(gm)[1].next_try_at is None)
            assert (_outbox(gm)[1].sent_at, _outbox(gm)[1].body) == (None, "")
            assert "550 we know you not" in _outbox(gm)[1].error

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"password": "wrong"}, "refused the user or password"),
        ({"security": "tls"}, "certificate|reached"),
        ({"user": "", "password": ""}, "530"),
        ({"ca_file": ""}, "not trusted|is trusted"),
        ({"port": 9}, "cannot be reached"),
    ],
)
def test_one_line_says_why_a_test_letter_did_not_go(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    async def scenario() -> None:
        async with _post_office(tmp_path) as (gm, office):
            gm.write(save_mail, SYSTEM, office.settings(), gm.clock())
            await gm.server.post.test("ada@example.com", LETTER)
            assert len(office.taken) == 1
            settings = msgspec.structs.replace(office.settings(), **changes)

            def save(session: Session) -> None:
                session.merge(Setting(name="mail", value=msgspec.json.encode(settings).decode(), changed_at=1.0))

            gm.write(save)
            with pytest.raises(MailError, match=text) as error:
                await gm.server.post.test("ada@example.com", LETTER)
            assert SECRET not in str(error.value)
            assert "wrong" not in str(error.value)

    asyncio.run(scenario())


def test_password_is_kept_for_the_same_server_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _post_office(tmp_path) as (gm, office):
            gm.write(save_mail, SYSTEM, office.settings(), 1.0)
            shown = gm.write(save_mail, SYSTEM, office.settings(password=""), 2.0)
            assert shown.password == ""
            assert gm.read(load_mail).password == SECRET
            for changes in ({"host": "evil.example.com"}, {"security": "none"}, {"port": 25}, {"user": "eve"}):
                with pytest.raises(InputError, match="password"):
                    gm.write(save_mail, SYSTEM, office.settings(password="", **changes), 3.0)
            with pytest.raises(InputError, match="without TLS"):
                gm.write(save_mail, SYSTEM, office.settings(security="none"), 3.0)
            with pytest.raises(Forbidden):
                gm.write(
                    save_mail, Actor("usr-1", "eve", (Role("administrator", "acme"),), "portal"), MailSettings(), 4.0
                )

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["a\r\nBcc: eve@example.com", "a\x00", "ä@example.com", "a b@c.d", "@x.y", "x"])
def test_address_that_cannot_stand_in_a_header_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="mail address"):
        check_address(text, "the sender")


def test_nobody_writes_a_mail_of_his_own_through_ours() -> None:
    letter = letters.access_asked(
        "gm", "ada\r\nX: y", "acme/press\n\nHello", "", "why\n\nDear boss", 3600.0, "https://x"
    )
    assert "\n" not in letter.subject
    assert "\n\nDear" not in letter.body
    assert "\n\nHello" not in letter.body


def test_alarms_begin_and_end_once_and_tell_who_looks_after_the_domain(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, _):

            def people(session: Session) -> None:
                domain = get_domain(session, "acme").id
                for name, role in (("eve", "administrator"), ("olga", "operator")):
                    user = add_user(session, name, "acme", 1.0)
                    user.email = f"{name}@example.com"
                    session.flush()
                    session.add(
                        RoleRecord(id=f"rol-{name}", user_id=user.id, domain_id=domain, role=role, created_at=1.0)
                    )

            gm.write(people)

            def kinds(*, open_only: bool = True) -> list[str]:
                found = gm.read(lambda session: [a.kind for a in list_alarms(session, SYSTEM, open_only=open_only)])
                return sorted(found)

            await gm.server.alarms.look()
            assert kinds() == []
            appliance.close()
            await until(lambda: not list(gm.server.peers.appliances()))
            await gm.server.presence.flush()
            gm.clock.ahead_s = 9 * 60
            await gm.server.alarms.look()
            assert kinds() == []
            gm.clock.ahead_s = 11 * 60
            for _ in range(2):
                await gm.server.alarms.look()
            assert kinds() == ["offline"]
            assert [letter.recipient for letter in _outbox(gm)] == ["eve@example.com"]
            assert await appliance.log_in() is not None
            await gm.server.alarms.look()
            assert kinds() == []
            assert [letter.subject for letter in _outbox(gm)][1].startswith("[test] Over: acme/line3/press1 is offline")

            def fail(session: Session) -> None:
                ada = get_user(session, "ada")
                by = Actor(ada.id, "ada", (), "lm", "192.0.2.7")
                for _ in range(10):
                    record(session, by, Event.LOGIN_FAILED, Subject(ada.id, "ada", "acme"), gm.clock(), "refused")

            gm.write(fail)
            await gm.server.alarms.look()
            assert kinds() == ["failed-logins", "failed-logins"]
            elsewhere = Actor("usr-9", "mallory", (Role("administrator", "other"),), "portal")
            assert gm.read(lambda session: list(list_alarms(session, elsewhere))) == []
            gm.clock.ahead_s += 3700
            await gm.server.alarms.look()
            assert kinds() == []
            gm.clock.ahead_s = 390 * 86400
            await gm.server.alarms.look()
            assert "certificate" in kinds()
            gm.write(save_alarm_settings, SYSTEM, AlarmSettings(offline_minutes=0, certificate_days=0), 1.0)
            await gm.server.alarms.look()
            assert kinds() == []
            assert len(kinds(open_only=False)) == 4

    asyncio.run(scenario())

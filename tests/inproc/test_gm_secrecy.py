"""No secret is ever in a log, an audit entry or the records: a whole life with known secrets, then a search."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.exceptions import GatelinkError
from gatelink.identity import Identity, from_pkcs12, new_key
from gatelink.link.enrolment import enrol
from gm_server.access.actors import SYSTEM
from gm_server.access.grants import Holder, Place, Terms, make_grant
from gm_server.access.tokens import make_token
from gm_server.accounts.users import add_user, get_user
from gm_server.acts.requests import is_link_good, make_link
from gm_server.alarms.settings import AlarmSettings, save_alarm_settings
from gm_server.appliances.registry import get_appliance
from gm_server.audit.export import JsonLines
from gm_server.audit.reading import Filter
from gm_server.backup.making import stream_backup
from gm_server.database.tables import RoleRecord
from gm_server.mail import letters
from gm_server.mail.outbox import queue
from gm_server.mail.settings import MailSettings, save_mail
from inproc.gm_running import PASSWORD, RunningGm, connected_plant, open_session, until
from inproc.portal_person import LOGIN, Person
from inproc.test_gm_portal_logins import portal
from inproc.text_service import text_service

MAIL_PASSWORD = "mail secret q9"
PASSPHRASE = "backup secret of nine otters"
WRONG = "a wrong password that is a near miss"
FILE_PASSWORD = "file secret of eight herons"
NEW_PASSWORD = "the password of olga, new"


def _forms(secret: str | bytes) -> set[bytes]:
    """A secret as it might turn up: as it is, in hexadecimal digits, in base 64."""
    raw = secret.encode() if isinstance(secret, str) else secret
    return {raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw).rstrip(b"=")}


def _private(identity: Identity) -> bytes:
    return identity.key.private_numbers().private_value.to_bytes(32, "big")


def _dump(gm: RunningGm, *, without: tuple[str, ...] = ()) -> bytes:
    """Every value in every table."""
    found: list[bytes] = []
    with closing(sqlite3.connect(gm.directory.database_path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table not in without:
                for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 - names of our own tables
                    found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\n".join(found)


def _audit(gm: RunningGm) -> bytes:
    writer = JsonLines(gm.directory.appliance_identity(), "test", Filter(), "root", 1.0)
    pieces: list[bytes] = []

    def read(session: Session) -> bool:
        piece = writer.page(session)
        pieces.append(piece or b"")
        return piece is not None

    while gm.read(read):
        pass
    return b"".join(pieces)


def test_no_secret_is_in_any_log_or_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    everywhere: dict[str, str | bytes] = {
        "password": PASSWORD,
        "wrong password": WRONG,
        "new password": NEW_PASSWORD,
        "backup passphrase": PASSPHRASE,
    }

    async def scenario() -> RunningGm:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            for party in (appliance, user):
                everywhere[f"key of {type(party).__name__}"] = _private(party.identity)
            everywhere["appliance key"] = _private(gm.directory.appliance_identity())
            everywhere["device authority"] = _private(gm.directory.device_authority())
            everywhere["user authority"] = _private(gm.directory.user_authority())
            # Wrong, and right.
            assert isinstance(await user.log_in(WRONG), messages.Refusal)
            assert isinstance(await user.log_in(), messages.Welcome)
            gm.grant()
            session = await open_session(user, appliance, reason="service")
            everywhere["user's ticket"] = session.connected.ticket
            everywhere["appliance's ticket"] = session.opened.ticket
            session.close()
            # Claims and invitations: redeemed, refused, and left open.
            gm.write(add_user, "olga", "acme", 1.0)
            redeemed, left = gm.invitation("olga"), gm.claim("acme/line3/press1")
            everywhere["invitation"], everywhere["claim"] = redeemed.secret, left.secret
            key = new_key()
            with pytest.raises(GatelinkError):
                await enrol(gm.endpoint, redeemed, key, "lm", "short")
            await enrol(gm.endpoint, redeemed, key, "lm", NEW_PASSWORD)

            def more(session: Session) -> None:
                ada = get_user(session, "ada")
                session.add(
                    RoleRecord(id="rol-1", user_id=get_user(session, "olga").id, role="approver", created_at=1.0)
                )
                get_user(session, "olga").email = "olga@example.com"
                everywhere["token"] = make_token(session, ada.id, "tool", ("read",), 1, gm.clock())[1]
                save_alarm_settings(session, SYSTEM, AlarmSettings(), gm.clock())
                place = Place(appliance_id=get_appliance(session, "acme/line3/press1").id)
                make_grant(session, Holder(user_id=ada.id), place, Terms(needs_approval=True), gm.clock())
                # A mail server that is not there: what fails is written down, the password is not.
                settings = MailSettings(
                    host="127.0.0.1", port=9, user="gm", password=MAIL_PASSWORD, sender="gm@example.com"
                )
                save_mail(session, SYSTEM, settings, gm.clock())
                queue(session, "olga@example.com", letters.trial("gm", "ada"), gm.clock())

            gm.write(more)
            await user.say(
                messages.RequestAccess(request_id=3, appliance_id=appliance.enrolment.peer_id, reason="bearing")
            )
            asked = await user.hear()
            while not isinstance(asked, messages.AccessRequested):
                assert isinstance(asked, messages.EndSession | messages.ChangeSession), asked
                asked = await user.hear()
            sender = gm.server.access._sender()
            link = make_link(sender, asked.access_id, "usr-1", gm.clock())
            token = link.rpartition("=")[2]
            assert is_link_good(sender.seals, asked.access_id, "usr-1", token, gm.clock())
            await until(lambda: "was not sent" in caplog.text)
            await asyncio.to_thread(stream_backup, gm.directory, io.BytesIO(), PASSPHRASE, SYSTEM, gm.clock(), 10)
            await gm.server.alarms.look()
            return gm

    gm = asyncio.run(scenario())
    log, audit = caplog.text.encode(), _audit(gm)
    assert b"connected from" in log
    assert audit.count(b'"line":"entry"') > 10
    only_in_settings = {"mail password": MAIL_PASSWORD}
    places = {"log": log, "audit log": audit, "records": _dump(gm, without=("settings",))}
    for what, secret in (everywhere | only_in_settings).items():
        for where, text in places.items():
            assert not any(form in text for form in _forms(secret)), f"the {what} is in the {where}"
    # The search finds what is there: the mail server's password, where it has to be.
    assert MAIL_PASSWORD.encode() in _dump(gm)
    # Letters that wait hold links; letters that were sent or given up hold nothing.
    assert b"/decide?by=" not in audit
    assert b"/decide?by=" not in log


def test_no_secret_of_a_browser_is_in_any_log_or_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    everywhere: dict[str, str | bytes] = {"password": PASSWORD, "wrong password": WRONG, "file password": FILE_PASSWORD}
    in_logs: dict[str, str] = {}

    async def scenario() -> RunningGm:
        async with (
            portal(tmp_path, "password+sms") as (gm, _),
            text_service(gm) as service,
            Person(gm, tmp_path) as ada,
        ):
            assert (await ada.sign_in(password=WRONG)).status_code == 401
            await ada.sign_in()
            everywhere["cookie of the login"] = ada.client.cookies[LOGIN]
            assert (await ada.code("sms", service.code)).status_code == 303
            in_logs["code of the text message"] = service.code
            await ada.open("/account")
            everywhere["cookie"], everywhere["token of the forms"] = ada.secret, ada.token
            # An authenticator app, recovery codes, a certificate as a file.
            await ada.open("/account/app")
            shown = re.search(
                r'<code class="secret">([A-Z2-7 ]+)</code>', (await ada.send("/account/app", name="app")).text
            )
            assert shown is not None
            in_logs["secret of the app"] = shown[1].replace(" ", "")
            await ada.open("/account/recovery-codes")
            codes = re.findall(r"<code>([a-z2-7-]{19})</code>", (await ada.send("/account/recovery-codes")).text)
            assert codes
            everywhere["recovery code"] = codes[0]
            await ada.open("/account/certificate")
            file = await ada.send("/account/certificate", name="pc", password=FILE_PASSWORD, again=FILE_PASSWORD)
            everywhere["key of the file"] = _private(from_pkcs12(file.content, FILE_PASSWORD))
            return gm

    gm = asyncio.run(scenario())
    # The browser's own library writes down what it sends.
    said = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    log, audit = "\n".join(f"{record.name} {record.getMessage()}" for record in said).encode(), _audit(gm)
    assert b"gm." in log
    assert b"factor.sent" in audit
    for what, secret in everywhere.items():
        for where, text in {"log": log, "audit log": audit, "records": _dump(gm)}.items():
            assert not any(form in text for form in _forms(secret)), f"the {what} is in the {where}"
    # The GateManager has to know the app's secret, and for a while the message: no log does.
    for what, secret in in_logs.items():
        found = re.compile(rb"(?<![0-9A-Za-z.])" + secret.encode() + rb"(?![0-9A-Za-z])")
        assert not found.search(log), f"the {what} is in the log"
        assert not found.search(audit), f"the {what} is in the audit log"


def test_search_knows_keys_as_they_are_written() -> None:
    key = new_key()
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert key.private_numbers().private_value.to_bytes(32, "big") in der

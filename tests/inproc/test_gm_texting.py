"""Text messages through a modem on a pty, a message centre and a web service; failover, and what is written down."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from fakes.gsm_modem import GsmModem
from fakes.message_centre import MessageCentre
from gatelink.exceptions import GatelinkError, InputError
from gatelink.identity import key_to_pem, new_key
from gm_server.access.actors import Actor, Role, at_the_console
from gm_server.cli.program import run
from gm_server.database.tables import AuditEntry, Setting
from gm_server.exceptions import Forbidden
from gm_server.texting import modem as modem_module
from gm_server.texting.http_provider import send_by_http
from gm_server.texting.modem import send_by_modem
from gm_server.texting.settings import (
    HttpProvider,
    ModemProvider,
    Provider,
    SmppProvider,
    TextingSettings,
    load_texting,
    parse_texting,
    save_texting,
    shown,
)
from gm_server.texting.smpp import send_by_smpp
from inproc.gm_running import RunningGm, make_directory, running_gm
from inproc.text_service import SECRET, text_service

NUMBER = "+4915123456789"
CODE = "Gatelink: 123456 is your code to log in."
LONG = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. " * 5 + "{€}"
GREEK = "Ο κωδικός σας: 123456 😀 " * 6
ROOT = at_the_console("root")


def _by_modem(port: str, **more: str) -> ModemProvider:
    return ModemProvider(name="modem", port=port, secret=more.get("pin", ""))


def _send(provider: ModemProvider, text: str = CODE) -> None:
    asyncio.run(send_by_modem(provider, NUMBER, text, 300))


def _save(gm: RunningGm, *providers: Provider) -> None:
    gm.write(save_texting, ROOT, TextingSettings(providers), gm.clock())


@pytest.mark.parametrize(("text", "coding", "parts"), [(CODE, 0, 1), (LONG, 0, 3), (GREEK, 8, 3)])
def test_modem_sends_every_text_whole(text: str, coding: int, parts: int) -> None:
    with GsmModem() as modem:
        _send(_by_modem(modem.port), text)
        assert "".join(taken.text for taken in modem.taken) == text
        assert {(taken.recipient, taken.coding) for taken in modem.taken} == {(NUMBER, coding)}
        if parts == 1:
            assert modem.taken[0].part is None
        else:
            references = {taken.part[0] for taken in modem.taken if taken.part is not None}
            assert len(references) == 1
            assert [taken.part[1:] for taken in modem.taken if taken.part] == [(parts, n + 1) for n in range(parts)]


def test_modem_unlocks_its_card_and_waits_for_its_network() -> None:
    with GsmModem(pin="1234", network_after=2) as modem:
        _send(_by_modem(modem.port, pin="1234"))
        assert modem.pins_tried == ["1234"]
        assert len(modem.taken) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda: GsmModem(dies_at="message"), "is lost"),
        (lambda: GsmModem(dies_at="AT+CREG"), "is lost"),
        (lambda: GsmModem(refuses="+CMS ERROR: 331"), r"takes no message \(\+CMS ERROR: 331\)"),
        (lambda: GsmModem(mute=True), "does not answer: is it the right port and speed"),
        (lambda: GsmModem(network_after=10**6), "has no network"),
        (lambda: GsmModem(pin="1234"), "asks for its PIN"),
    ],
)
def test_what_is_wrong_with_the_modem_is_said(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[], GsmModem], says: str
) -> None:
    monkeypatch.setattr(modem_module, "REGISTER_S", 0.5)
    with fault() as modem, pytest.raises(GatelinkError, match=says):
        _send(_by_modem(modem.port))


def test_modem_that_is_not_there_is_named() -> None:
    with pytest.raises(GatelinkError, match="modem: the modem at /dev/ttyNOWHERE is lost or cannot be opened"):
        _send(_by_modem("/dev/ttyNOWHERE"))


def test_wrong_pin_is_tried_once_until_the_settings_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            with GsmModem(pin="1234") as modem:
                _save(gm, _by_modem(modem.port, pin="9999"))
                for _ in range(3):
                    with pytest.raises(GatelinkError, match="refused the PIN"):
                        await gm.server.texts.send(NUMBER, CODE, 300)
                assert modem.pins_tried == ["9999"]
                _save(gm, _by_modem(modem.port, pin="1234"))
                await gm.server.texts.send(NUMBER, CODE, 300)
                assert modem.pins_tried == ["9999", "1234"]

    asyncio.run(scenario())


def test_next_provider_is_asked_when_one_fails_and_all_of_it_is_written_down(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            with MessageCentre("gatelink", "secret", status=0x58) as centre, GsmModem(dies_at="message") as modem:
                smpp = SmppProvider(
                    name="centre", host="127.0.0.1", port=centre.port, system_id="gatelink", secret="secret"
                )
                async with text_service(gm, _by_modem(modem.port), smpp) as service:
                    await gm.server.texts.send(NUMBER, CODE, 300)
                    assert service.sent == [(NUMBER, CODE)]
                    service.status = 500
                    with pytest.raises(GatelinkError, match="service answered with the status 500"):
                        await gm.server.texts.send(NUMBER, CODE, 300)
            query = select(AuditEntry).where(AuditEntry.event.startswith("message.")).order_by(AuditEntry.number)
            entries = gm.read(lambda session: list(session.scalars(query)))
            told = [(entry.event, entry.subject_name, json.loads(entry.details)["error"]) for entry in entries[:3]]
            assert [name for _, name, _ in told] == ["modem", "centre", "service"]
            assert [event for event, _, _ in told] == ["message.failed", "message.failed", "message.sent"]
            assert told[1][2] == "centre refused the message (status 0x58)"
            assert CODE not in str([entry.details for entry in entries])
            assert NUMBER not in str([entry.details for entry in entries])

    asyncio.run(scenario())


def test_message_centre_takes_what_it_is_given(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            with MessageCentre("gatelink", "secret") as centre:
                common = {"name": "centre", "host": "127.0.0.1", "port": centre.port, "system_id": "gatelink"}
                _save(gm, SmppProvider(**common, secret="secret", sender="Gatelink"))  # type: ignore[arg-type]
                await gm.server.texts.send(NUMBER, CODE, 300)
                await gm.server.texts.send(NUMBER, GREEK, 300)
                assert centre.taken[0] == ("Gatelink", NUMBER[1:], 0, CODE.encode())
                parts = [text for _, _, coding, text in centre.taken[1:] if coding == 8]
                assert b"".join(part[6:] for part in parts).decode("utf-16-be") == GREEK
                _save(gm, SmppProvider(**common, secret="wrong"))  # type: ignore[arg-type]
                with pytest.raises(GatelinkError, match="centre refused"):
                    await gm.server.texts.send(NUMBER, CODE, 300)
            with pytest.raises(GatelinkError, match="centre cannot be reached"):
                await gm.server.texts.send(NUMBER, CODE, 300)

    asyncio.run(scenario())


def test_message_centre_is_reached_by_tls_when_its_certificate_is_good_and_else_is_told_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "centre.pem"
    own.write_bytes(_certificate_for("127.0.0.1"))
    other = tmp_path / "other.pem"
    other.write_bytes(_certificate_for("127.0.0.2"))

    def send(centre: MessageCentre) -> None:
        common = {"name": "centre", "host": "127.0.0.1", "system_id": "gatelink", "secret": "secret"}
        provider = SmppProvider(**common, port=centre.port, tls=True)
        asyncio.run(send_by_smpp(provider, NUMBER, GREEK))

    def centre(file: Path, *, dies: bool = False) -> MessageCentre:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return MessageCentre("gatelink", "secret", context=context, dies=dies)

    with centre(own) as good:
        with pytest.raises(GatelinkError, match="its certificate is not trusted"):
            send(good)
        assert good.bound == 0
        # What the machine trusts: the file of an authority of one's own is named to it in this way.
        monkeypatch.setenv("SSL_CERT_FILE", str(own))
        send(good)
        assert b"".join(part[6:] for _, _, _, part in good.taken).decode("utf-16-be") == GREEK
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    with centre(other) as impostor:
        with pytest.raises(GatelinkError, match="is not trusted"):
            send(impostor)
        assert impostor.bound == 0
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    with centre(own, dies=True) as lost, pytest.raises(GatelinkError, match="centre cannot be reached"):
        send(lost)
    with MessageCentre("gatelink", "secret", dies=True) as plain, pytest.raises(GatelinkError, match="cannot be"):
        send(plain)
    assert plain.bound == 0


def _certificate_for(address: str) -> bytes:
    """Return a self-signed certificate of today and its key, as PEM."""
    key, now = new_key(), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "centre")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    certificate = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    return key_to_pem(key) + certificate.public_bytes(Encoding.PEM)


def test_secrets_are_never_shown_and_do_not_follow_to_another_address(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            provider = HttpProvider(name="web", url="https://sms.example.com/send?key={secret}", secret=SECRET)
            _save(gm, provider)
            settings = gm.read(load_texting)
            assert settings.providers[0].secret == SECRET
            assert SECRET not in repr(shown(settings))
            # Saved again as it was shown: the secret stays. Asked elsewhere: it must be given again.
            _save(gm, *shown(settings).providers)
            assert gm.read(load_texting) == settings
            with pytest.raises(InputError, match="enter its secret again"):
                _save(gm, HttpProvider(name="web", url="https://evil.example/send?key={secret}"))
            for url in ("ftp://sms.example.com/", "https://{to}/", "file:///etc/passwd"):
                with pytest.raises(InputError, match="expected an address"):
                    _save(gm, HttpProvider(name="web", url=url))
            with pytest.raises(InputError, match="expected a serial port"):
                _save(gm, ModemProvider(name="modem", port="/etc/passwd"))
            with pytest.raises(InputError, match="providers"):
                parse_texting('{"providers": [{"kind": "http", "name": "web"}]}')
            nobody = Actor("usr-1", "eve", (Role("administrator", "acme"),), "portal")
            with pytest.raises(Forbidden):
                gm.write(save_texting, nobody, TextingSettings(), gm.clock())
            assert SECRET not in str(
                gm.read(lambda session: [entry.details for entry in session.scalars(select(AuditEntry))])
            )
            assert gm.read(lambda session: session.get_one(Setting, "texting").value).count(SECRET) == 1

    asyncio.run(scenario())


def test_what_a_message_holds_is_data_wherever_it_is_put(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            text = 'quo"te \\ {to} {secret} & <b> é'
            await gm.server.texts.send(NUMBER, text, 300)
            assert service.sent == [(NUMBER, text)]
            with pytest.raises(GatelinkError, match="web cannot be reached") as failed:
                await send_by_http(
                    HttpProvider(name="web", url="http://127.0.0.1:9/{secret}", secret=SECRET), NUMBER, text
                )
            assert SECRET not in str(failed.value)

    asyncio.run(scenario())


def test_console_sets_providers_up_and_tests_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATELINK_GM_DATA", str(make_directory(tmp_path / "gm").path))
    with MessageCentre("gatelink", "secret") as centre:
        file = tmp_path / "providers.json"
        common = {"kind": "smpp", "name": "centre", "host": "127.0.0.1", "port": centre.port, "system_id": "gatelink"}
        file.write_text(json.dumps({"providers": [{**common, "secret": "secret"}]}))
        assert run(["sms", "test", "+49 151 23456789"]) == 1
        assert "no provider is set up" in capsys.readouterr().err
        assert run(["sms", "set", str(file)]) == 0
        assert run(["sms", "show"]) == 0
        shown_text = capsys.readouterr().out
        assert '"secret": ""' in shown_text
        # What is shown can be set again: the secret stays.
        file.write_text(shown_text.partition("\n")[2])
        assert run(["sms", "set", str(file)]) == 0
        assert run(["sms", "test", "+49 151 23456789"]) == 0
        assert "sent to +4915123456789 by centre" in capsys.readouterr().out
        assert run(["sms", "test", "0151 23456789"]) == 2
        assert len(centre.taken) == 1

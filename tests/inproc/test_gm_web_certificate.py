"""The certificate for browsers: from a real ACME authority (Debian's pebble), from files, kept when something fails."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import os
import random
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.exceptions import InputError
from gatelink.identity import key_to_pem, new_key
from gm_server.access.actors import SYSTEM
from gm_server.audit.events import Event
from gm_server.certificates.bundle import parse_bundle
from gm_server.certificates.settings import WebCertificateSettings, check, save_web_certificate_settings
from gm_server.database.tables import AuditEntry
from inproc.gm_running import DEADLINE_S, RunningGm, connected_plant, open_session, until

NAMES = ("gm.example.com", "www.gm.example.com")


class Authority:
    """pebble, with a name server that sends every name to loopback."""

    def __init__(self, folder: Path, gm_port: int) -> None:
        self._folder = folder
        self._gm_port = gm_port
        self._processes: list[asyncio.subprocess.Process] = []
        self.ca_file = folder / "authority.pem"
        self.url = ""

    async def start(self) -> None:
        key = new_key()
        self.ca_file.write_bytes(_certificate(key, [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]))
        (self._folder / "authority.key").write_bytes(key_to_pem(key))
        dns, control, api, management = _free_ports(4)
        config = {
            "listenAddress": f"127.0.0.1:{api}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(self.ca_file),
            "privateKey": str(self._folder / "authority.key"),
            "httpPort": self._gm_port,
            "tlsPort": self._gm_port,
            "domainBlocklist": ["blocked-domain.example"],
        }
        (self._folder / "pebble.json").write_bytes(msgspec.json.encode({"pebble": config}))
        others = [word for part in ("http01", "https01", "tlsalpn01", "defaultIPv6") for word in (f"-{part}", "")]
        places = ("-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{control}")
        await self._spawn("pebble-challtestsrv", *places, *others)
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
        await self._spawn(
            "pebble", "-config", str(self._folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}", env=environment
        )
        self.url = f"https://127.0.0.1:{api}/dir"
        for port in (control, api):
            await _answers(port)

    async def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            await process.wait()

    def settings(self, **changes: Any) -> WebCertificateSettings:
        fields = {
            "kind": "acme",
            "names": NAMES,
            "directory_url": self.url,
            "authority_file": str(self.ca_file),
            "terms_agreed": True,
            "email": "ada@example.com",
            **changes,
        }
        return WebCertificateSettings(**fields)

    async def _spawn(self, *command: str, env: dict[str, str] | None = None) -> None:
        log = (self._folder / f"{Path(command[0]).name}.log").open("wb")
        with log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=env)
        self._processes.append(process)


def _certificate(key: Any, names: list[x509.GeneralName], days: int = 30) -> bytes:
    """A self-signed one, PEM, that began sixty days ago."""
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=60))
    builder = builder.not_valid_after(now + datetime.timedelta(days=days))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _free_ports(count: int) -> list[int]:
    """Below those that the kernel gives to whoever asks for any: nobody takes them before they are used."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                datagrams.bind(("127.0.0.1", port))
            ports += [] if port in ports else [port]
    return ports


async def _answers(port: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _authority(folder: Path, gm: RunningGm) -> AsyncIterator[Authority]:
    authority = Authority(folder, gm.endpoint.port)
    try:
        await authority.start()
        yield authority
    finally:
        await authority.stop()


async def _shown(gm: RunningGm, name: str = NAMES[0]) -> x509.Certificate:
    """Return the certificate that a browser sees."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", gm.endpoint.port, ssl=context, server_hostname=name)
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return x509.load_der_x509_certificate(der)


def _names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))


@pytest.mark.skipif(shutil.which("pebble") is None, reason="pebble is not installed: tools/setup does it")
@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_authority_issues_and_renews_without_ending_a_session(tmp_path: Path, challenge: str) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user), _authority(tmp_path, gm) as authority:
            gm.grant()
            session = await open_session(user, appliance)
            gm.write(save_web_certificate_settings, SYSTEM, authority.settings(challenge=challenge), gm.clock())
            keeper = gm.server.web_certificate
            await keeper.look()
            assert keeper.problem == ""
            first = await _shown(gm)
            assert _names(first) == set(NAMES)
            assert "Pebble" in first.issuer.rfc4514_string()
            assert gm.server.door.challenges.context(NAMES[0]) is None
            await keeper.look()
            assert (await _shown(gm)).serial_number == first.serial_number
            # Two thirds of its life later there is another one, by the same account.
            account = (gm.directory.path / "acme.json").read_bytes()
            lifetime = first.not_valid_after_utc - first.not_valid_before_utc
            gm.clock.ahead_s = lifetime.total_seconds() * 0.67
            await keeper.look()
            assert keeper.problem == ""
            assert (await _shown(gm)).serial_number != first.serial_number
            assert (gm.directory.path / "acme.json").read_bytes() == account
            assert (gm.directory.path / "acme.json").stat().st_mode & 0o077 == 0
            await user.say(messages.ListAppliances(request_id=1))
            assert (await user.hear_kind(messages.ApplianceList)).appliances
            await asyncio.get_running_loop().sock_sendall(session.user_leg, b"still there")
            assert await asyncio.get_running_loop().sock_recv(session.appliance_leg, 100) == b"still there"
            session.close()

            def events(session: Session) -> list[str]:
                query = select(AuditEntry.event).where(AuditEntry.event == Event.WEB_CERTIFICATE_CHANGED.value)
                return list(session.scalars(query))

            assert len(gm.read(events)) == 2

    asyncio.run(scenario())


@pytest.mark.skipif(shutil.which("pebble") is None, reason="pebble is not installed: tools/setup does it")
def test_old_certificate_stays_and_the_reason_is_said_when_the_authority_says_no(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, _, _), _authority(tmp_path, gm) as authority:
            before = (await _shown(gm)).serial_number
            keeper = gm.server.web_certificate
            gm.clock.hold()
            for changes, text in (
                ({"names": ("blocked-domain.example",)}, "refused"),
                ({"authority_file": ""}, "cannot be reached"),
                ({"directory_url": "https://127.0.0.1:9/dir"}, "cannot be reached"),
            ):
                gm.write(save_web_certificate_settings, SYSTEM, authority.settings(**changes), gm.clock())
                await keeper.look()
                assert text in keeper.problem
            # The challenge is not shown where the authority looks: it does not find us.
            gm.server.door.challenges.put_http = lambda _token, _text: None  # type: ignore[method-assign,assignment]
            gm.write(save_web_certificate_settings, SYSTEM, authority.settings(), gm.clock())
            await keeper.look()
            assert "did not find us" in keeper.problem
            assert keeper._next_at - gm.clock() == pytest.approx(60)
            gm.clock.ahead_s += 61
            await keeper.look()
            assert keeper._next_at - gm.clock() == pytest.approx(120)
            assert (await _shown(gm)).serial_number == before

    asyncio.run(scenario())


def _files(folder: Path, name: str, *, kind: str = "rsa", days: int = 30) -> tuple[Path, Path]:
    key: Any = rsa.generate_private_key(65537, 2048) if kind == "rsa" else new_key()
    paths = folder / "tls.crt", folder / "tls.key"
    paths[0].write_bytes(_certificate(key, [x509.DNSName(name)], days))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def test_files_of_the_owner_are_used_and_read_again_when_they_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, _, _):
            certificate, key = _files(tmp_path, "first.example.com")
            settings = WebCertificateSettings(kind="files", certificate_file=str(certificate), key_file=str(key))
            gm.write(save_web_certificate_settings, SYSTEM, settings, gm.clock())
            keeper = gm.server.web_certificate
            await keeper.look()
            assert _names(await _shown(gm)) == {"first.example.com"}
            _files(tmp_path, "second.example.com", kind="ec")
            await keeper.look()
            second = await _shown(gm)
            assert _names(second) == {"second.example.com"}
            for damage, text in (
                (lambda: certificate.write_text("nonsense"), "both as PEM"),
                (lambda: _files(tmp_path, "third.example.com", days=-1), "is over"),
                (lambda: key.write_bytes(key_to_pem(new_key())), "not the one"),
                (key.unlink, "cannot read"),
            ):
                damage()
                gm.clock.ahead_s += 7 * 3600
                await keeper.look()
                assert text in keeper.problem
                assert (await _shown(gm)).serial_number == second.serial_number
            # What is in use survives the loss of its files, and a restart.
            assert parse_bundle(gm.directory.web_path.read_bytes()).names == ("second.example.com",)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kind": "files", "certificate_file": "tls.crt", "key_file": "/x"}, "whole paths"),
        ({"kind": "acme", "terms_agreed": True}, "name the hosts"),
        ({"kind": "acme", "names": ("10.0.0.1",), "terms_agreed": True}, "expected a host name"),
        ({"kind": "acme", "names": ("a b.com",), "terms_agreed": True}, "expected a host name"),
        ({"kind": "acme", "names": ("gm.example.com",)}, "terms"),
        ({"kind": "acme", "names": ("gm.example.com",), "terms_agreed": True, "directory_url": "http://x"}, "https"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        check(WebCertificateSettings(**fields))


def test_challenge_that_is_not_open_is_answered_with_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, _, _):
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["acme-tls/1"])
            with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
                await asyncio.open_connection("127.0.0.1", gm.endpoint.port, ssl=context, server_hostname="x.example")
            await until(lambda: gm.server.strangers.counts.get("protocol", 0) >= 1)
            reader, writer = await asyncio.open_connection("127.0.0.1", gm.endpoint.port)
            writer.write(b"GET /.well-known/acme-challenge/../secret HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 308 ")
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())

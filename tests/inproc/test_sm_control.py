"""The SM's control connection and enrolment: ways, pins, clock, first use, and what a unit remembers."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatelink import identity
from gatelink.claims import Claim, fingerprint_of
from gatelink.exceptions import PinMismatch, ProofError, Refused
from gatelink.messages import (
    ENROL_TO_GM,
    Enrolled,
    EnrolProof,
    EnrolRequest,
    EnrolStart,
    EnrolWaiting,
    Refusal,
    SessionEnded,
)
from gatelink.pins import make_statement
from gatelink.proofs import Transcript, make_proof, proof_key
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_CONTROL, ALPN_ENROL
from inproc.parties import AUTHORITY, NOW, ScriptedGm, gm_identity
from inproc.sm_site import DEADLINE_S, Site, SiteGm, eventually, site_and_gm
from sitemanager.config import Config
from sitemanager.core.local_requests import StatusRequest
from sitemanager.core.status import Status
from sitemanager.exceptions import DaemonError
from sitemanager.host import times
from sitemanager.host.config_store import load, save
from sitemanager.host.lock import RemoteAccessLock
from sitemanager.services.enrolment import ask, redeem
from sitemanager.services.local_client import ask as ask_daemon

SECRET = bytes(range(16))


class EnrolGm:
    """The GM's side of enrolment: one claim, and a waiting list from which ``adopts`` lets units out."""

    def __init__(self) -> None:
        self.scripted = ScriptedGm()
        self.scripted.scripts[ALPN_ENROL] = self._enrol
        self.keys: list[bytes] = []
        """The key of everybody who was enrolled."""
        self.requests = 0
        self.adopts = False
        self.secret = SECRET

    def claim(self, *, fingerprint: bool = False, secret: bytes = SECRET) -> Claim:
        """A claim of this GM's."""
        named = fingerprint_of(self.scripted.identity.certificate) if fingerprint else None
        return Claim("appliance", "claim-1", secret, ("127.0.0.1",), named)

    async def _enrol(self, tls: ssl.SSLSocket) -> None:
        conversation = Conversation(tls, 16384)
        start = await conversation.receive(ENROL_TO_GM)
        assert isinstance(start, EnrolStart)
        certificate = self.scripted.identity.certificate
        transcript = Transcript("appliance", start.claim_id, start.nonce, bytes(32), certificate, start.key_sha256)
        proof = make_proof(proof_key(self.secret), "gm", transcript)
        await conversation.send(EnrolProof(nonce=bytes(32), proof=proof))
        request = await conversation.receive(ENROL_TO_GM)
        assert isinstance(request, EnrolRequest)
        self.requests += 1
        if start.claim_id and self.keys and self.keys[0] != start.key_sha256:
            await conversation.send(Refusal(code="claim-used", text="the claim was used by another unit"))
        elif not start.claim_id and not self.adopts:
            await conversation.send(EnrolWaiting(waiting_id="w1", retry_s=0.0))
        else:
            self.keys.append(start.key_sha256)
            issued = identity.issue(request.csr, AUTHORITY, "sm-7", NOW, 365)
            await conversation.send(Enrolled(certificate=issued, peer_id="sm-7", name="press 7", domain="/plant"))


def config_for(gm: ScriptedGm, **values: Any) -> Config:
    return msgspec.structs.replace(Config(ports=(gm.endpoint.port,)), **values)


def test_unit_knows_everything_when_a_claim_is_redeemed(tmp_path: Path) -> None:
    async def conversation() -> None:
        gm, site = EnrolGm(), Site(tmp_path)
        async with gm.scripted:
            await redeem(site.state, config_for(gm.scripted), gm.claim(fingerprint=True))
        assert site.state.is_enrolled
        pin, mine = site.state.pin(), site.state.identity()
        assert pin is not None
        assert mine is not None
        assert pin.how == "fingerprint"
        assert site.state.known().name == "press 7"
        assert load(site.state.directory).gm_addresses == ("127.0.0.1",)
        assert RemoteAccessLock(site.state.directory).reason() is None

    asyncio.run(conversation())


def test_claim_is_good_again_when_the_same_key_redeems_it(tmp_path: Path) -> None:
    async def conversation() -> None:
        gm, site = EnrolGm(), Site(tmp_path)
        async with gm.scripted:
            key = site.state.key()
            await redeem(site.state, config_for(gm.scripted), gm.claim())
            # As after a power cut right before the result was kept.
            (site.state.directory / "identity.pem").unlink()
            (site.state.directory / "key.pem").write_bytes(identity.key_to_pem(key))
            await redeem(site.state, config_for(gm.scripted), gm.claim())
            assert gm.keys == [identity.own_key_sha256(key)] * 2
            (tmp_path / "other").mkdir()
            other = Site(tmp_path / "other")
            with pytest.raises(Refused, match="another unit"):
                await redeem(other.state, config_for(gm.scripted), gm.claim())
            assert not other.state.is_enrolled

    asyncio.run(conversation())


@pytest.mark.parametrize("named", [True, False])
def test_nothing_secret_is_sent_when_a_machine_in_the_middle_answers_the_first_contact(
    tmp_path: Path, named: bool
) -> None:
    async def conversation() -> None:
        gm, middle, site = EnrolGm(), EnrolGm(), Site(tmp_path)
        middle.secret = bytes(16)
        async with middle.scripted:
            with pytest.raises((PinMismatch, ProofError)) as caught:
                await redeem(site.state, config_for(middle.scripted), gm.claim(fingerprint=named))
        assert identity.serial_text(middle.scripted.identity.certificate) in str(caught.value)
        if named:
            assert identity.serial_text(gm.scripted.identity.certificate) in str(caught.value)
        assert middle.requests == 0, "neither proof nor request was sent"
        assert not site.state.is_enrolled
        assert site.state.pin() is None

    asyncio.run(conversation())


def test_unit_locks_at_the_first_contact_when_it_has_no_claim(tmp_path: Path) -> None:
    async def conversation() -> None:
        gm, site = EnrolGm(), Site(tmp_path)
        async with gm.scripted:
            config = config_for(gm.scripted)
            assert await ask(site.state, config, ("127.0.0.1",), site.lines.append) == 1.0
            pin = site.state.pin()
            assert pin == gm.scripted.pin or (pin is not None and pin.how == "first-use")
            assert site.said(identity.serial_text(gm.scripted.identity.certificate))
            assert site.said("first contact without a claim")
            assert site.said("waiting to be adopted as w1")
            trusted, gm.scripted.identity = gm.scripted.identity, gm_identity()
            with pytest.raises(PinMismatch):
                await ask(site.state, config, ("127.0.0.1",), site.lines.append)
            gm.scripted.identity = trusted
            gm.adopts = True
            assert await ask(site.state, config, ("127.0.0.1",), site.lines.append) is None
        assert site.state.is_enrolled
        assert site.state.waiting() is None

    asyncio.run(conversation())


def test_daemon_goes_on_asking_and_then_connects_when_it_is_adopted(tmp_path: Path) -> None:
    async def conversation() -> None:
        gm, site, control = EnrolGm(), Site(tmp_path), SiteGm()
        control.scripted = gm.scripted
        gm.scripted.scripts[ALPN_CONTROL] = control._control
        async with gm.scripted:
            save(site.state.directory, config_for(gm.scripted))
            await ask(site.state, load(site.state.directory), ("127.0.0.1",), site.lines.append)
            async with site.running():
                await eventually((site.runtime / "sm.sock").exists, "the local socket")
                assert not (await asyncio.to_thread(ask_daemon, site.runtime, StatusRequest(), Status)).enrolled
                gm.adopts = True
                await control.connected()
                await eventually(lambda: site.said("connected to"), "the welcome")
                status = await asyncio.to_thread(ask_daemon, site.runtime, StatusRequest(), Status)
                assert (status.enrolled, status.connected, status.name) == (True, True, "press 4")

    asyncio.run(conversation())


def test_daemon_waits_to_be_set_up_when_the_unit_is_not_enrolled(tmp_path: Path) -> None:
    async def conversation() -> None:
        site = Site(tmp_path)
        async with site.running():
            await eventually(lambda: site.said("not enrolled yet"), "the line")
            status = await asyncio.to_thread(ask_daemon, site.runtime, StatusRequest(), Status)
            assert (status.enrolled, status.connected) == (False, False)

    asyncio.run(conversation())


@contextlib.contextmanager
def closed_port() -> Any:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_next_port_is_used_and_the_preferred_one_later_when_it_was_closed(tmp_path: Path) -> None:
    async def conversation() -> None:
        gm, better, site = SiteGm(), SiteGm(), Site(tmp_path)
        better.scripted.identity = gm.scripted.identity
        better.scripted.start()
        port = better.scripted.endpoint.port
        await better.scripted.stop()
        async with gm.scripted:
            site.enrol(gm.scripted.pin, port, gm.scripted.endpoint.port)
            async with site.running():
                await gm.connected()
                assert gm.logins[0].route.port == gm.scripted.endpoint.port
                better.scripted.start()
                await better.connected()
                assert better.logins[0].run_id == gm.logins[0].run_id
                await gm.until(lambda: gm.channel is None, "the old connection to end")
            await better.scripted.stop()
        assert site.said(f"connected to 127.0.0.1 port {port}")

    asyncio.run(conversation())


def test_proxy_is_used_when_nothing_else_is_open(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def conversation() -> None:
        gm, site = SiteGm(), Site(tmp_path)

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            there, out = await asyncio.open_connection("127.0.0.1", gm.scripted.endpoint.port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_copy(reader, out), _copy(there, writer))

        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        with closed_port() as port:
            async with gm.scripted:
                entry = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
                site.enrol(gm.scripted.pin, port)
                values = {"ports": [port], "gm_addresses": ["127.0.0.1"]}
                values["proxies"] = [{**entry, "username": "press", "password": "geheim"}]
                save(site.state.directory, msgspec.convert(values, Config))
                async with site.running():
                    await gm.connected()
                    await eventually(lambda: site.said("connected to"), "the welcome")
                    status = await asyncio.to_thread(ask_daemon, site.runtime, StatusRequest(), Status)
                    assert gm.logins[0].route.proxy
                    assert "through the proxy" in status.way
            server.close()
        assert b"Proxy-Authorization: Basic cHJlc3M6Z2VoZWlt" in asked[0]
        assert not any("geheim" in line for line in site.lines)

    asyncio.run(conversation())


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def test_another_certificate_is_refused_and_reported_when_the_unit_is_pinned(tmp_path: Path) -> None:
    async def conversation() -> None:
        gm, middle, site = SiteGm(), SiteGm(), Site(tmp_path)
        async with middle.scripted:
            site.enrol(gm.scripted.pin, middle.scripted.endpoint.port)
            async with site.running():
                await eventually(lambda: site.said("no connection"), "the refusal")
                for certificate in (gm, middle):
                    assert site.said(identity.serial_text(certificate.scripted.identity.certificate))
                assert middle.logins == [], "our certificate was not even presented"
                middle.scripted.identity = gm.scripted.identity
                await middle.connected()
                (alarm,) = middle.logins[0].pin_alarms
                assert alarm.route.port == middle.scripted.endpoint.port

    asyncio.run(conversation())


def test_successor_is_kept_when_the_pinned_key_signed_it(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with site_and_gm(tmp_path) as (site, gm):
            new = gm_identity()
            gm.scripted.statements = (make_statement(gm.scripted.identity, new.certificate),)
            gm.scripted.identity = new
            gm.hang_up()
            await gm.connected(2)
            pin = site.state.pin()
            assert pin is not None
            assert pin.certificate == new.certificate
            assert pin.how == "succession"
            assert site.said("proved a new certificate")

    asyncio.run(conversation())


def test_names_and_addresses_are_kept_when_the_gatemanager_tells_them(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with site_and_gm(tmp_path) as (site, gm):
            gm.welcome = msgspec.structs.replace(gm.welcome, name="press 5", gm_addresses=("127.0.0.1", "127.0.0.2"))
            gm.hang_up()
            await gm.connected(2)
            await eventually(lambda: site.state.known().name == "press 5", "the new name")
            assert site.daemon is not None
            control = site.daemon._control
            assert control is not None
            assert [way.address for way in control.ways()] == ["127.0.0.1", "127.0.0.2"]
        assert json.loads((site.state.directory / "gatemanager.json").read_text())["name"] == "press 5"

    asyncio.run(conversation())


def test_time_is_the_gatemanagers_when_the_system_clock_is_wrong(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with site_and_gm(tmp_path) as (site, gm):
            status = await asyncio.to_thread(ask_daemon, site.runtime, StatusRequest(), Status)
            assert status.system_clock_set is False
            assert abs(status.now - gm.welcome.unix_time_s) < DEADLINE_S
            assert abs((status.since or 0) - gm.welcome.unix_time_s) < DEADLINE_S
            gm.welcome = msgspec.structs.replace(gm.welcome, unix_time_s=datetime.datetime.now().timestamp())  # noqa: DTZ005
            site.lines.clear()
            gm.hang_up()
            await eventually(lambda: site.said("connected to"), "the second welcome")
            status = await asyncio.to_thread(ask_daemon, site.runtime, StatusRequest(), Status)
            assert status.system_clock_set is True

    asyncio.run(conversation())


@pytest.mark.parametrize("wanted", [False, True])
def test_system_clock_is_set_only_when_that_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    set_to: list[float] = []
    monkeypatch.setattr(times, "set_system_clock", set_to.append)

    async def conversation() -> None:
        async with site_and_gm(tmp_path, set_system_clock=wanted) as (site, gm):
            await eventually(lambda: site.said("connected to"), "the welcome")
            assert set_to == ([gm.welcome.unix_time_s] if wanted else [])

    asyncio.run(conversation())


def test_memory_stays_bounded_when_there_is_nobody_to_tell(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with site_and_gm(tmp_path) as (site, gm):
            await gm.scripted.stop()
            await eventually(lambda: site.said("no connection"), "the loss")
            assert site.daemon is not None
            control = site.daemon._control
            assert control is not None
            for number in range(5000):
                control.tell(SessionEnded(session_id=str(number), reason="test"))
            assert len(control._untold) == 256
            gm.scripted.start()
            await gm.until(lambda: len(gm.messages) >= 256, "what could not be told")
            await eventually(lambda: not control._untold, "the last of it")

    asyncio.run(conversation())


def test_daemon_goes_on_when_the_gatemanager_says_what_it_does_not_know(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with site_and_gm(tmp_path) as (site, gm):
            gm.send(gm.welcome)
            await eventually(lambda: site.said("which means nothing here"), "the second welcome")
            assert len(gm.logins) == 1

    asyncio.run(conversation())


@pytest.mark.parametrize("line", [b"{}\n", b"\xff\n", b'{"command": "reboot"}\n', b"x" * 9000, b"[" * 3000 + b"\n"])
def test_local_socket_answers_or_hangs_up_when_it_is_asked_nonsense(tmp_path: Path, line: bytes) -> None:
    async def conversation() -> None:
        async with site_and_gm(tmp_path) as (site, _):
            path = site.runtime / "sm.sock"
            assert path.stat().st_mode & 0o777 == 0o666
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(line)
            with contextlib.suppress(OSError):
                answer = await reader.read()
                assert answer == b"" or json.loads(answer)["kind"] == "failure"
            writer.close()
            assert (await asyncio.to_thread(ask_daemon, site.runtime, StatusRequest(), Status)).connected

    asyncio.run(conversation())


def test_status_says_who_does_not_run_when_there_is_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(DaemonError, match="does not run"):
        ask_daemon(tmp_path, StatusRequest(), Status)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "sm.sock"))
    with pytest.raises(DaemonError, match="does not run"):
        ask_daemon(tmp_path, StatusRequest(), Status)

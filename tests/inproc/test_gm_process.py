"""``gm serve`` as a process: ready line, signals, ``kill -9`` at the worst moments, the commands that ask it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.claims import Claim as ClaimText
from gatelink.identity import PrivateKey, make_request, new_key, own_key_sha256
from gatelink.link.contact import ask_hello, first_contact
from gatelink.link.endpoints import Endpoint
from gatelink.link.enrolment import enrol
from gatelink.proofs import Transcript, make_proof, proof_key
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_ENROL
from gm_server.access.history import list_history
from gm_server.accounts.users import disable_user
from gm_server.appliances.registry import add_appliance, get_appliance
from gm_server.cli.program import run
from gm_server.database.tables import Claim, SessionRecord
from gm_server.directory import DataDirectory
from inproc.gm_running import (
    DEADLINE_S,
    PASSWORD,
    Appliance,
    Clock,
    RunningGm,
    User,
    make_directory,
    open_session,
    until,
)

GM = Path(sys.executable).parent / "gm"


class GmProcess(RunningGm):
    """The same as a running GM in this process, but it can be killed."""

    def __init__(self, directory: DataDirectory) -> None:
        super().__init__(directory, Clock())
        self.process: asyncio.subprocess.Process | None = None
        self.lines: list[str] = []
        self._port = 0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self._port)

    async def start(self) -> None:
        """Start it and wait for its line."""
        self.process = await asyncio.create_subprocess_exec(
            GM, "--data", self.directory.path, "serve", stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(DEADLINE_S):
            while not self._ready(await self._line()):
                pass
        self._reader = asyncio.create_task(self._read_on())

    async def stop(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; its exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE_S):
            await self._reader
            return await self.process.wait()

    def _ready(self, line: str) -> bool:
        match = re.search(r"^gm: serving on 127\.0\.0\.1:(\d+)$", line)
        if match:
            self._port = int(match[1])
        return bool(match)

    async def _line(self) -> str:
        assert self.process is not None
        assert self.process.stderr is not None
        line = (await self.process.stderr.readline()).decode()
        assert line, self.lines
        self.lines.append(line.rstrip())
        return line.rstrip()

    async def _read_on(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.lines.append(line.decode().rstrip())


@contextlib.asynccontextmanager
async def _gm_process(path: Path) -> AsyncIterator[GmProcess]:
    gm = GmProcess(make_directory(path))
    gm.plant()
    await gm.start()
    try:
        yield gm
    finally:
        await gm.stop(signal.SIGKILL)


def _history(gm: RunningGm) -> SessionRecord:
    def read(session: Session) -> SessionRecord:
        [record] = list_history(session, 10)
        session.expunge_all()
        return record

    return gm.read(read)


def test_history_is_consistent_and_addresses_are_kept_when_the_server_is_killed_in_a_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _gm_process(tmp_path / "gm") as gm:
            gm.grant()
            appliance, user = Appliance(gm, await gm.enrolled_appliance()), User(gm, await gm.enrolled_user())
            await appliance.log_in()
            await user.log_in()
            first = await open_session(user, appliance)
            await gm.stop(signal.SIGKILL)
            assert await first.is_cut()
            first.close()
            assert _history(gm).ended_at is None
            await gm.start()
            assert _history(gm).end_code == "gm-restarted"
            await appliance.log_in()
            await user.log_in()
            again = await open_session(user, appliance, resume_session_id=first.session_id)
            assert again.connected.tunnel == first.connected.tunnel
            again.close()
            appliance.close()
            user.close()
            assert await gm.stop(signal.SIGTERM) == 0
            assert all(len(line) <= 2000 for line in gm.lines)
            assert not any(PASSWORD in line for line in gm.lines)

    asyncio.run(scenario())


def test_claim_is_used_and_certificate_stored_or_neither_when_killed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _gm_process(tmp_path / "gm") as gm:
            for number, delay_s in enumerate((0.0, 0.002, 0.006, 0.02)):
                path = f"acme/line3/unit{number}"
                gm.write(add_appliance, "acme/line3", f"unit{number}", 1.0)
                claim, key = gm.claim(path), new_key()
                tls = await _ask_for_certificate(gm, claim, key)
                await asyncio.sleep(delay_s)  # where the process is killed: before, in or behind its transaction
                await gm.stop(signal.SIGKILL)
                tls.close()
                assert gm.read(_is_used, claim.claim_id) == gm.read(_has_certificate, path)
                # Whatever it was: the same key comes through, and is known.
                await gm.start()
                appliance = Appliance(gm, await enrol(gm.endpoint, claim, key, "sm test"))
                assert isinstance(await appliance.log_in(), messages.Welcome)
                appliance.close()

    asyncio.run(scenario())


def _is_used(session: Session, claim_id: str) -> bool:
    return session.get_one(Claim, claim_id).used_at is not None


def _has_certificate(session: Session, path: str) -> bool:
    return get_appliance(session, path).certificate is not None


async def _ask_for_certificate(gm: RunningGm, claim: ClaimText, key: PrivateKey) -> ssl.SSLSocket:
    """Say everything of an enrolment; the answer is not read."""
    tls, certificate = await first_contact(gm.endpoint, ALPN_ENROL)
    conversation = Conversation(tls, 1 << 16)
    start = messages.EnrolStart(
        kind="appliance", claim_id=claim.claim_id, nonce=bytes(32), key_sha256=own_key_sha256(key)
    )
    await conversation.send(start)
    proof = await conversation.receive(messages.ENROL_TO_PARTY)
    assert isinstance(proof, messages.EnrolProof)
    transcript = Transcript("appliance", claim.claim_id, start.nonce, proof.nonce, certificate, start.key_sha256)
    own = make_proof(proof_key(claim.secret), "party", transcript)
    await conversation.send(messages.EnrolRequest(csr=make_request(key), proof=own))
    return tls


def test_commands_see_and_change_what_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        async with _gm_process(tmp_path / "gm") as gm:

            async def ask(*arguments: str) -> Any:
                status = await asyncio.to_thread(run, ["--data", str(gm.directory.path), *arguments])
                printed = capsys.readouterr()
                assert status == 0, printed.err
                return json.loads(printed.out) if "--json" in arguments else printed.out

            gm.grant()
            appliance, user = Appliance(gm, await gm.enrolled_appliance()), User(gm, await gm.enrolled_user())
            await appliance.log_in()
            await user.log_in()
            session = await open_session(user, appliance)
            status = await ask("status", "--json")
            assert (status["appliances"], status["users"], status["sessions"]) == (1, 1, 1)
            [listed] = await ask("appliances", "list", "--json")
            assert (listed["path"], listed["online"], listed["port"]) == ("acme/line3/press1", True, gm.endpoint.port)
            [live] = await ask("sessions", "list", "--json")
            assert (live["id"], live["user"], live["state"]) == (session.session_id, "ada", "joined")
            assert session.session_id in await ask("sessions", "list")
            await ask("sessions", "end", session.session_id)
            assert await session.is_cut()
            assert (await user.hear_kind(messages.EndSession)).code == "ended-by-administrator"
            session.close()
            assert await asyncio.to_thread(run, ["--data", str(gm.directory.path), "sessions", "end", "ses-0"]) == 2
            gm.write(disable_user, "ada", gm.clock())
            assert (await user.hear_kind(messages.Refusal)).code == "login"
            await ask("certificate", "renew", "--yes")
            _, presented = await ask_hello(gm.endpoint)
            assert presented == gm.pin.certificate
            appliance.close()
            user.close()

    asyncio.run(scenario())


def test_certificates_are_loaded_again_on_a_hangup_and_kept_when_they_are_damaged(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _gm_process(tmp_path / "gm") as gm:
            assert gm.process is not None
            _, before = await ask_hello(gm.endpoint)
            (gm.directory.path / "appliance.pem").write_text("damaged")
            gm.process.send_signal(signal.SIGHUP)
            await until(lambda: any("the certificates were not loaded" in line for line in gm.lines))
            _, after = await ask_hello(gm.endpoint)
            assert after == before

    asyncio.run(scenario())


def test_one_line_says_why_when_it_cannot_listen(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _gm_process(tmp_path / "one") as gm:
            port = gm.endpoint.port
            directory = make_directory(tmp_path / "two", listen=(f"127.0.0.1:{port}",))
            process = await asyncio.create_subprocess_exec(
                GM, "--data", directory.path, "serve", stderr=asyncio.subprocess.PIPE
            )
            _, text = await process.communicate()
            assert process.returncode == 1
            assert text.decode() == f"gm: cannot listen on 127.0.0.1 port {port}: Address already in use\n"

    asyncio.run(scenario())


def test_socket_is_usable_when_the_directory_lies_deep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        deep = tmp_path / ("deep" * 30) / ("deeper" * 20)
        deep.parent.mkdir(parents=True)
        async with _gm_process(deep) as gm:
            assert (gm.directory.path / "gm.sock").stat().st_mode & 0o777 == 0o600
            assert await asyncio.to_thread(run, ["--data", os.fspath(deep), "status"]) == 0
            assert "appliances" in capsys.readouterr().out

    asyncio.run(scenario())

"""What the set-up page asks of the daemon: who may ask what, logins, changes on trial, the lock, events for the GM."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from gatelink.claims import Claim, claim_text
from gatelink.messages import ApplianceEvent, ApplianceStatus, EventsKept
from inproc import virtual_time
from inproc.sm_site import Site, SiteGm, eventually, site_and_gm
from sitemanager.config import Config, InputConfig, OutputConfig
from sitemanager.core import local_requests as asks
from sitemanager.core.local import Caller, DoneAnswer, LocalAnswer, LocalRequest, PageVisit
from sitemanager.core.local_requests import LockRequest
from sitemanager.core.status import Status
from sitemanager.host import config_store
from sitemanager.host.gpio.fake import FakeInput, FakeOutput
from sitemanager.host.lock import RemoteAccessLock
from sitemanager.host.page_secret import PageSecret
from sitemanager.services.contacts import Contacts, Openers
from sitemanager.services.daemon import Daemon
from sitemanager.services.remote_access import RemoteAccess
from sitemanager.web.daemon import DaemonLink, LoginNeeded, NotDone

A = TypeVar("A", bound=LocalAnswer)
PASSWORD = "engine room 7"
ANYBODY = {"about", "page-certificate", "login", "choose-password", "logout", "visit"}
OWNER = {"lock-changed", "secret"}
QUIET: dict[str, Any] = {
    "kind": "status",
    **dict.fromkeys(("software", "name", "domain", "gm_name", "way", "lost_reason", "pin_serial", "pin_key"), ""),
    **dict.fromkeys(("pin_how", "key"), ""),
    **dict.fromkeys(("since", "system_clock_set", "locked"), None),
    "enrolled": True,
    "connected": False,
    "now": 0.0,
    "dev_interfaces": [],
    "sessions": [],
}


class Technician:
    """A browser's session with the daemon."""

    def __init__(self, site: Site, address: str = "10.0.0.50") -> None:
        self.site = site
        self.visit = PageVisit(address=address)
        self._link = DaemonLink(site.runtime)

    async def ask(self, request: LocalRequest, kind: type[A]) -> A:
        return await self._link.ask(self.visit, request, kind)

    async def log_in(self, password: str) -> asks.LoginAnswer:
        answer = await self.ask(asks.LoginRequest(password=password), asks.LoginAnswer)
        self.visit = msgspec.structs.replace(self.visit, session=answer.session)
        return answer

    async def set_up(self) -> None:
        """Log in on a new unit and choose a password."""
        await self.log_in(PageSecret(self.site.state.directory).secret())
        answer = await self.ask(asks.ChoosePasswordRequest(current="", password=PASSWORD), asks.LoginAnswer)
        self.visit = msgspec.structs.replace(self.visit, session=answer.session)

    async def trial(self) -> asks.TrialAnswer:
        return await self.ask(asks.TrialRequest(), asks.TrialAnswer)


@contextlib.asynccontextmanager
async def new_unit(directory: Path, **settings: Any) -> AsyncIterator[tuple[Site, Technician, Daemon]]:
    """A unit that nobody has set up."""
    site = Site(directory)
    daemon = Daemon(site.state, site.runtime, site.network, site.lines.append, **settings)
    work = asyncio.ensure_future(daemon.run())
    try:
        await eventually((site.runtime / "sm.sock").exists, "the local socket")
        yield site, Technician(site), daemon
    finally:
        daemon.stop()
        await work


def test_every_command_says_who_may_ask_it_and_nobody_else_may(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with new_unit(tmp_path) as (_, technician, daemon):
            commands = daemon._desk.commands
            assert {command for command, access in commands.items() if access == "anybody"} == ANYBODY
            assert {command for command, access in commands.items() if access == "owner"} == OWNER
            assert len(commands) > 20

            async def code(command: str, session: str) -> str:
                line = {"request": _minimal(daemon, command), "page": {"session": session, "address": "10.0.0.9"}}
                return getattr(await daemon._desk.answer(msgspec.json.encode(line), is_owner=True), "code", "")

            for command in commands.keys() - ANYBODY:
                for session in ("", "guessed"):
                    assert await code(command, session) == ("not-allowed" if command in OWNER else "login"), command
            await technician.set_up()
            for command in OWNER:
                assert await code(command, technician.visit.session) == "not-allowed"
            unknown = await daemon._desk.answer(b'{"request": {"command": "reboot-everything"}}', is_owner=True)
            assert getattr(unknown, "code", "") == "unknown"
            stranger = await daemon._desk.answer(b'{"request": {"command": "status"}}', is_owner=False)
            assert getattr(stranger, "code", "") == "login"

    asyncio.run(conversation())


def _minimal(daemon: Daemon, command: str) -> dict[str, Any]:
    """A request with every field that has to be there."""
    kind = daemon._desk._entries[command].kind
    values: dict[str, Any] = {"command": command}
    empty = {"str": "", "bytes": "", "bool": True, "int": 1, "float": 1.0}
    for field in msgspec.structs.fields(kind):
        if field.required:
            text = str(field.type)
            values[field.name] = next((value for name, value in empty.items() if name in text), {})
            if "dict" in text:
                values[field.name] = {}
    return values


def test_first_login_takes_the_label_then_the_own_password_alone(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with new_unit(tmp_path) as (site, technician, _):
            secret = PageSecret(site.state.directory).secret()
            assert (await technician.ask(asks.AboutRequest(), asks.AboutAnswer)).is_new
            with pytest.raises(NotDone, match="wrong"):
                await technician.log_in("ABCD-EFGH-JKMN-PQRS")
            first = await technician.log_in(secret.lower().replace("-", " "))
            assert first.must_choose
            with pytest.raises(LoginNeeded):
                await technician.ask(asks.StatusRequest(), Status)
            for weak in ("short", "aaaaaaaaaaaa", secret):
                with pytest.raises(NotDone):
                    await technician.ask(asks.ChoosePasswordRequest(current="", password=weak), asks.LoginAnswer)
            await technician.set_up()
            await technician.ask(asks.StatusRequest(), Status)
            old = Technician(site)
            old.visit = PageVisit(session=first.session)
            with pytest.raises(LoginNeeded):
                await old.ask(asks.StatusRequest(), Status)
            other = Technician(site, "10.0.0.51")
            with pytest.raises(NotDone, match="wrong"):
                await other.log_in(secret)
            assert not (await other.log_in(PASSWORD)).must_choose
            await other.ask(asks.LogoutRequest(), DoneAnswer)
            with pytest.raises(LoginNeeded):
                await other.ask(asks.StatusRequest(), Status)
            stored = (site.state.directory / "page.json").read_text()
            assert PASSWORD not in stored
            assert not any(PASSWORD in line or secret in line for line in site.lines)

    asyncio.run(conversation())


def test_guessing_is_slowed_for_who_guesses(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with new_unit(tmp_path) as (site, technician, _):
            for _ in range(5):
                with pytest.raises(NotDone, match="wrong"):
                    await technician.log_in("guess")
            with pytest.raises(NotDone, match="too many wrong attempts"):
                await technician.log_in(PageSecret(site.state.directory).secret())
            assert (await Technician(site, "10.0.0.60").log_in(PageSecret(site.state.directory).secret())).must_choose

    asyncio.run(conversation())


def test_change_is_written_when_it_is_kept_and_not_before(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with new_unit(tmp_path) as (site, technician, _):
            await technician.set_up()
            values = {"dev_interfaces": ["eth7"]}
            answer = await technician.ask(asks.TryConfigRequest(values=values), asks.TrialAnswer)
            assert answer.state == "trying"
            assert answer.left_s > 80
            assert answer.changes == ('dev_interfaces = ["eth7"]',)
            assert site.network.state.dev_interfaces == ("eth7",)
            assert config_store.load(site.state.directory) == Config()
            with pytest.raises(NotDone, match="another change"):
                await technician.ask(asks.TryConfigRequest(values={"ports": [443]}), asks.TrialAnswer)
            kept = await technician.ask(asks.KeepTrialRequest(), asks.TrialAnswer)
            assert kept.state == "kept"
            assert config_store.load(site.state.directory).dev_interfaces == ("eth7",)
            by_command = msgspec.structs.replace(config_store.load(site.state.directory), max_sessions=3)
            config_store.save(site.state.directory, by_command)
            await technician.ask(asks.TryConfigRequest(values={"ports": [443]}), asks.TrialAnswer)
            await technician.ask(asks.KeepTrialRequest(), asks.TrialAnswer)
            both = config_store.load(site.state.directory)
            assert (both.max_sessions, both.ports) == (3, (443,))
            for wrong in ({"ports": [0]}, {"nonsense": 1}, {"dev_interfaces": ["lo"]}):
                with pytest.raises(NotDone):
                    await technician.ask(asks.TryConfigRequest(values=wrong), asks.TrialAnswer)

    asyncio.run(conversation())


def test_change_is_undone_when_nobody_keeps_it(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with new_unit(tmp_path, trial_s=0.3) as (site, technician, _):
            await technician.set_up()
            await technician.ask(asks.TryConfigRequest(values={"dev_interfaces": ["eth7"]}), asks.TrialAnswer)
            await eventually(lambda: site.said("the change was undone: nobody kept it"), "the end of the trial")
            await eventually(lambda: site.network.state.dev_interfaces == (), "the old state")
            assert (await technician.trial()).state == "undone"
            with pytest.raises(NotDone, match="no change on trial"):
                await technician.ask(asks.KeepTrialRequest(), asks.TrialAnswer)
            assert config_store.load(site.state.directory) == Config()

    asyncio.run(conversation())


def test_change_is_gone_when_the_daemon_dies_during_the_trial(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with new_unit(tmp_path) as (site, technician, _):
            await technician.set_up()
            await technician.ask(asks.TryConfigRequest(values={"dev_interfaces": ["eth7"]}), asks.TrialAnswer)
        (tmp_path / "again").mkdir()
        assert config_store.load_or_restore(site.state.directory).config == Config()

    asyncio.run(conversation())


def test_change_is_not_kept_when_the_gatemanager_stays_away_with_it(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with site_and_gm(tmp_path) as (site, gm):
            technician = Technician(site)
            await technician.set_up()
            before = config_store.load(site.state.directory)
            answer = await technician.ask(asks.TryConfigRequest(values={"ports": [1]}), asks.TrialAnswer)
            assert answer.needs_gm
            with pytest.raises(NotDone, match="was reached before this change"):
                await technician.ask(asks.KeepTrialRequest(), asks.TrialAnswer)
            await technician.ask(asks.UndoTrialRequest(), asks.TrialAnswer)
            await gm.connected(logins=2)
            await eventually(lambda: site.lines[-1].startswith("connected to"), "the connection")
            # A change that leaves the way as it is, in another order of proxies, is kept once it is connected anew.
            await technician.ask(
                asks.TryConfigRequest(values={"ports": [gm.scripted.endpoint.port, 1]}), asks.TrialAnswer
            )
            await gm.connected(logins=3)
            await eventually(lambda: site.lines[-1].startswith("connected to"), "the connection")
            await technician.ask(asks.KeepTrialRequest(), asks.TrialAnswer)
            assert config_store.load(site.state.directory).ports == (*before.ports, 1)

    asyncio.run(conversation())


def test_passwords_are_never_shown_and_kept_when_they_come_back_hidden(tmp_path: Path) -> None:
    async def conversation() -> None:
        site = Site(tmp_path)
        proxy = {"host": "proxy", "port": 3128, "username": "u", "password": "geheim"}
        config_store.save(site.state.directory, msgspec.convert({"proxies": [proxy]}, Config))
        daemon = Daemon(site.state, site.runtime, site.network, site.lines.append)
        work = asyncio.ensure_future(daemon.run())
        await eventually((site.runtime / "sm.sock").exists, "the local socket")
        technician = Technician(site)
        await technician.set_up()
        shown = await technician.ask(asks.ConfigRequest(), asks.ConfigAnswer)
        assert "geheim" not in str(shown)
        values = {"proxies": [*shown.values["proxies"], {**proxy, "host": "thief", "password": "(hidden)"}]}
        await technician.ask(asks.TryConfigRequest(values=values), asks.TrialAnswer)
        await technician.ask(asks.KeepTrialRequest(), asks.TrialAnswer)
        proxies = config_store.load(site.state.directory).proxies
        assert [entry.password for entry in proxies] == ["geheim", ""]
        await technician.ask(asks.TryTomlRequest(toml=shown.toml), asks.TrialAnswer)
        await technician.ask(asks.KeepTrialRequest(), asks.TrialAnswer)
        assert config_store.load(site.state.directory).proxies[0].password == "geheim"
        assert not site.said("geheim")
        daemon.stop()
        await work

    asyncio.run(conversation())


def test_events_reach_the_gatemanager_in_order_and_again_until_it_has_them(tmp_path: Path) -> None:
    def events(gm: SiteGm) -> list[tuple[int, str]]:
        return [(message.number, message.kind) for message in gm.messages if isinstance(message, ApplianceEvent)]

    async def conversation() -> None:
        async with site_and_gm(tmp_path) as (site, gm):
            technician = Technician(site)
            await technician.set_up()
            await technician.ask(LockRequest(locked=True), Status)
            await technician.ask(LockRequest(locked=False), Status)
            wanted = [(1, "page-password"), (2, "remote-access"), (3, "remote-access")]
            await gm.until(lambda: events(gm) == wanted, "the events")
            states = [message.locked for message in gm.messages if isinstance(message, ApplianceStatus)]
            assert states[0] is False
            gm.send(EventsKept(number=2))
            await eventually(lambda: site.said("nothing") or _waiting(site) == 1, "the acknowledgement")
            gm.messages.clear()
            gm.hang_up()
            await gm.connected(logins=2)
            await gm.until(lambda: events(gm) == [(3, "remote-access")], "the rest")
            gm.send(EventsKept(number=3))
            await eventually(lambda: _waiting(site) == 0, "the last acknowledgement")

    asyncio.run(conversation())


def _waiting(site: Site) -> int:
    assert site.daemon is not None
    return site.daemon._events.waiting


def test_consent_ends_by_itself_and_with_the_daemon(tmp_path: Path) -> None:
    async def conversation() -> None:
        lock = RemoteAccessLock(tmp_path)
        lock.set(locked=False)
        said: list[str] = []
        access = RemoteAccess(lock, said.append, lambda kind, text: said.append(f"{kind}: {text}"))
        access.set(LockRequest(locked=False, minutes=15), Caller("technician", "10.0.0.50"))
        assert access.reason() is None
        assert lock.reason() is not None
        await asyncio.sleep(14 * 60)
        assert access.reason() is None
        await asyncio.sleep(2 * 60)
        assert access.reason() == "locked by its owner"
        assert "remote-access: the time for which remote access was allowed is over: it is locked" in said
        access.set(LockRequest(locked=False, minutes=15), Caller("owner"))
        access.close()
        assert access.reason() is not None

    virtual_time.run(conversation())


def test_key_switch_locks_whenever_it_is_not_certainly_closed(tmp_path: Path) -> None:
    async def conversation() -> None:
        lock = RemoteAccessLock(tmp_path)
        lock.set(locked=False)
        heard: list[str | None] = []
        recorded: list[str] = []
        access = RemoteAccess(lock, lambda text: None, lambda kind, text: recorded.append(text))
        access.listeners.append(lambda: heard.append(access.reason()))
        lines = [FakeInput(), FakeInput()]
        present = [False]
        output = FakeOutput()

        def open_input(chip: str, line: int, closed_is_low: bool, debounce_ms: int) -> FakeInput:
            if not present[0]:
                raise OSError("no such chip")
            return lines.pop(0)

        contacts = Contacts(
            access,
            lambda: pytest.fail("no output asks"),
            heard.append,
            lambda kind, text: recorded.append(text),
            Openers(open_input, lambda *_: output, lambda _: output),
        )
        key = InputConfig(name="key", line=17, use="unlock-key")
        await contacts.use(Config(inputs=(key,)))
        assert access.reason() == "the key switch key cannot be read: no such chip"
        access.set(LockRequest(locked=False), Caller("technician"))
        assert access.reason() is not None
        first, second = lines
        present[0] = True
        await asyncio.sleep(7)
        assert access.reason() == "the key switch key is open"
        first.change(closed=True)
        await asyncio.sleep(0)
        await asyncio.sleep(1.5)
        assert access.reason() is None
        first.change(closed=False)
        await asyncio.sleep(1.5)
        assert access.reason() == "the key switch key is open"
        first.change(closed=True)
        await asyncio.sleep(1.5)
        assert access.reason() is None
        first.pull_out()
        await asyncio.sleep(0.01)
        assert access.reason() == "the key switch key cannot be read: no such device"
        assert first.is_released
        second.change(closed=True)
        await asyncio.sleep(7)
        assert access.reason() is None
        await contacts.use(Config())
        assert second.is_released
        assert access.reason() is None
        assert [text.rpartition(" is ")[2] for text in recorded if text.startswith("the contact")][:3] == [
            "closed", "open", "closed",
        ]  # fmt: skip
        await contacts.close()

    virtual_time.run(conversation())


def _put(file: Path, text: str) -> None:
    """At once: nobody reads half of it."""
    whole = file.with_suffix(".new")
    whole.write_text(text)
    whole.replace(file)


def test_file_on_a_stick_is_taken_once_and_its_result_is_beside_it(tmp_path: Path) -> None:
    async def conversation() -> None:
        stick = tmp_path / "stick"
        stick.mkdir()
        claim = claim_text(Claim("appliance", "clm-1", bytes(16), ("127.0.0.1",)))
        async with new_unit(tmp_path, provision_from=(tmp_path / "none", stick)) as (site, technician, _):
            file = stick / "gatelink.toml"
            _put(file, "claim = 'glc1_half'\n[config]\nports = [0]\n")
            await eventually((stick / "gatelink.mistakes.txt").exists, "the mistakes")
            assert "claim: the claim is damaged" in (stick / "gatelink.mistakes.txt").read_text()
            assert config_store.load(site.state.directory) == Config()
            await technician.set_up()
            _put(file, f'claim = "{claim}"\n[config]\ndev_interfaces = ["eth1"]\nports = [9]\n')
            await eventually(lambda: not file.exists(), "the end of the file")
            await eventually((stick / "gatelink.result.txt").exists, "the result")
            assert not (stick / "gatelink.mistakes.txt").exists()
            assert claim not in (stick / "gatelink.applied.toml").read_text()
            assert config_store.load(site.state.directory).dev_interfaces == ("eth1",)
            await eventually(lambda: site.said("cannot redeem the claim yet"), "the first attempt")
            assert site.state.pending_claim() == claim
            answer = await technician.ask(asks.EnrolmentRequest(), asks.EnrolmentAnswer)
            assert answer.phase == "trying"
            assert not any(claim in line for line in site.lines)

    asyncio.run(conversation())


def test_lamps_show_what_is_so_and_an_alarm_contact_is_told(tmp_path: Path) -> None:
    async def conversation() -> None:
        recorded: list[str] = []
        status = [msgspec.convert(QUIET, Status)]
        access = RemoteAccess(RemoteAccessLock(tmp_path), lambda text: None, lambda kind, text: recorded.append(text))
        door, outputs = FakeInput(), {name: FakeOutput() for name in ("relay", "led")}
        contacts = Contacts(
            access,
            lambda: status[0],
            recorded.append,
            lambda kind, text: recorded.append(f"{kind}: {text}"),
            Openers(lambda *_: door, lambda *_: outputs["relay"], lambda _: outputs["led"]),
        )
        await contacts.use(
            Config(
                inputs=(InputConfig(name="door", line=4),),
                outputs=(
                    OutputConfig(name="lamp", shows="session", line=5),
                    OutputConfig(name="gm", shows="gm", led="g"),
                ),
            )
        )
        await asyncio.sleep(1.5)
        assert (outputs["relay"].is_on, outputs["led"].is_on) == (False, False)
        session = dict.fromkeys(("session_id", "user", "reason", "phase", "interface"), "")
        numbers: dict[str, Any] = {"since": 0.0, "ends_at": None, "bytes_sent": 0, "bytes_received": 0, "devices": []}
        status[0] = msgspec.convert({**QUIET, "connected": True, "sessions": [{**session, **numbers}]}, Status)
        door.change(closed=True)
        await asyncio.sleep(1.5)
        assert (outputs["relay"].is_on, outputs["led"].is_on) == (True, True)
        assert recorded == ["input: the contact door (alarm) is closed"]
        await contacts.close()
        assert (outputs["relay"].is_on, door.is_released) == (False, True)

    virtual_time.run(conversation())

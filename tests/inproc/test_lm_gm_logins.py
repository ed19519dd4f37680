"""The four logins end to end: the real `lm` on a terminal, its agent, and a real GateManager; wrong at every step."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from gatelink.claims import claim_text
from gm_server.accounts.factors import begin_totp, make_recovery_codes
from gm_server.accounts.totp import STEP_S, code_of_step
from gm_server.accounts.users import get_user
from inproc.gm_running import PASSWORD, RunningGm, running_gm
from inproc.lm_terminal import Answers, lm
from inproc.text_service import TextService, text_service


class Desk:
    """A person with a PC."""

    def __init__(self, gm: RunningGm, directory: Path) -> None:
        self.gm = gm
        self.home = directory / "lm"
        self.home.mkdir(mode=0o700)
        (self.home / "config.toml").write_text(f"schema = 1\n[link]\nports = [{gm.endpoint.port}]\n")
        self.good, self.wrong = directory / "password", directory / "wrong"
        self.good.write_text(PASSWORD + "\n")
        self.wrong.write_text("not the password\n")

    async def lm(self, *arguments: str, answers: Answers = ()) -> tuple[int, str]:
        return await asyncio.to_thread(lm, self.home, *arguments, answers=answers)

    async def fails(self, text: str, *arguments: str, answers: Answers = ()) -> None:
        status, shown = await self.lm(*arguments, answers=answers)
        assert status != 0, shown
        assert text in " ".join(shown.split()), shown

    async def logs_in(self, *arguments: str, answers: Answers = ()) -> None:
        status, shown = await self.lm("login", *arguments, "--password-file", str(self.good), answers=answers)
        assert status == 0, shown
        assert "Logged in to test as ada" in shown
        assert [user.name for user in self.gm.server.peers.users()] == ["ada"]

    async def logs_out(self) -> None:
        status, shown = await self.lm("logout")
        assert status == 0, shown


def _change(gm: RunningGm, method: str) -> None:
    def change(session: Session) -> None:
        user = get_user(session, "ada")
        user.login_method, user.phone = method, "+4915123456789"

    gm.write(change)


def _texted(service: TextService) -> Answers:
    """One wrong code, then the right one."""
    return (
        ("Code (sms", lambda: "000000" if service.code != "000000" else "111111"),
        ("the code was wrong", lambda: service.code),
    )


@pytest.mark.slow
def test_every_method_lets_in_when_all_is_right_and_only_then(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            gm.plant()
            desk = Desk(gm, tmp_path)
            invitation = claim_text(gm.invitation("ada"))
            status, shown = await desk.lm("redeem", invitation, "--password-file", str(desk.good))
            assert status == 0, shown
            # certificate and password
            await desk.logs_in()
            await desk.logs_out()
            # ... and a text message
            _change(gm, "certificate+sms")
            await desk.logs_in(answers=_texted(service))
            await desk.logs_out()
            # ... or an authenticator app, or a recovery code

            def add(session: Session) -> tuple[bytes, tuple[str, ...]]:
                user = get_user(session, "ada")
                factor = begin_totp(session, user.id, "phone", gm.clock())
                factor.confirmed_at = gm.clock()
                return factor.secret, make_recovery_codes(session, user.id)

            secret, codes = gm.write(add)
            await desk.logs_in("--code", code_of_step(secret, int(gm.clock() // STEP_S)))
            await desk.logs_out()
            await desk.logs_in("--code", f"recovery {codes[0]}")
            await desk.logs_out()

    asyncio.run(scenario())


@pytest.mark.slow
def test_name_and_password_let_in_where_no_certificate_is_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm, text_service(gm) as service:
            gm.plant()
            await gm.enrolled_user()
            desk = Desk(gm, tmp_path)
            who = ("--gm", "127.0.0.1", "--user", "ada")
            by = ("login", *who, "--password-file")
            await desk.fails("needs its certificate", *by, str(desk.good))
            _change(gm, "password")
            await desk.fails("the name or the password is wrong", *by, str(desk.wrong))
            await desk.logs_in(*who)
            await desk.logs_out()
            _change(gm, "password+sms")
            await desk.logs_in(answers=_texted(service))
            # The key was in memory alone.
            assert not [path for path in desk.home.rglob("*") if path.suffix in (".p12", ".pem")]
            await desk.logs_out()

    asyncio.run(scenario())

"""The API and the portal do the same; what of one's own account a token may do, and what only a person may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor
from gm_server.access.roles import load_actor
from gm_server.access.tokens import SCOPES
from gm_server.accounts.factors import begin_totp
from gm_server.accounts.web_sessions import open_session as open_web_session
from gm_server.acts import people, tokens
from gm_server.acts.tokens import NewToken, Scope
from gm_server.api.resources import ENDPOINTS
from gm_server.database.tables import TotpFactor, User
from gm_server.exceptions import Forbidden
from inproc.gm_people import CONSOLE, actor, settle
from inproc.gm_running import DEADLINE_S, RunningGm, running_gm, until
from inproc.gm_running import User as LinkManager
from inproc.gm_walk_table import PORTAL

IN_PERSON: Final = frozenset(
    {
        "/sign-in",
        "/sign-in/code",
        "/sign-out",
        "/invitation",
        "/reset",
        "/reset/{word}",
        "/account/password",
        "/account/app",
        "/account/passkey",
        "/account/recovery-codes",
        "/account/factors/{id}/remove",
        "/account/certificate",
        "/account/link-manager",
        "/account/tokens",
    }
)
"""What makes a way in, or takes a protection away (decision 0151)."""
BY_API: Final = {
    "/account/language": "changeAccount",
    "/account/certificates/{id}/revoke": "revokeCertificate",
    "/account/tokens/{id}/revoke": "revokeToken",
    "/account/browsers/{id}/sign-out": "signOutBrowser",
    "/account/browsers/sign-out-others": "signOutBrowsers",
    "/account/link-managers/{id}/sign-out": "signOutLinkManager",
    "/appliances/add": "addAppliance addClaim",
    "/appliances/waiting/{id}/adopt": "adopt",
    "/appliances/waiting/{id}/turn-away": "turnAway",
    "/appliances/claim-file": "addClaim",
    "/appliances/{id}/edit": "changeAppliance",
    "/appliances/{id}/claim": "addClaim",
    "/appliances/{id}/revoke": "revokeAppliance",
    "/appliances/{id}/remove": "removeAppliance",
    "/appliances/{id}/devices/add": "addDevice",
    "/appliances/{id}/scan": "startScan",
    "/devices/{id}/edit": "changeDevice",
    "/devices/{id}/remove": "removeDevice",
    "/devices/{id}/services/add": "setServices",
    "/devices/{id}/services/remove": "setServices",
    "/firmware/upload": "uploadFirmware",
    "/firmware/{id}/remove": "removeFirmware",
    "/firmware/{id}/roll-out": "startRollout",
    "/rollouts/{id}/stop": "stopRollout",
    "/rollouts/{id}/resume": "resumeRollout",
    "/domains/add": "addDomain",
    "/domains/{id}/edit": "changeDomain",
    "/domains/{id}/remove": "removeDomain",
    "/users/add": "addUser invite",
    "/users/{id}/edit": "changeUser",
    "/users/{id}/disable": "disableUser",
    "/users/{id}/enable": "enableUser",
    "/users/{id}/remove": "removeUser",
    "/users/{id}/invite": "invite",
    "/users/{user}/certificates/{id}/revoke": "revokeCertificate",
    "/invitations/{id}/revoke": "revokeInvitation",
    "/groups/add": "addGroup",
    "/groups/{id}/edit": "changeGroup",
    "/groups/{id}/remove": "removeGroup",
    "/groups/{id}/members/add": "addMember",
    "/groups/{id}/members/remove": "removeMember",
    "/roles/add": "giveRole",
    "/roles/{id}/take": "takeRole",
    "/grants/add": "addGrant",
    "/grants/{id}/edit": "changeGrant",
    "/grants/{id}/end": "endGrant",
    "/relays/add": "addRelay",
    "/relays/{id}/edit": "changeRelay",
    "/relays/{id}/remove": "removeRelay",
    "/requests/add": "makeRequest",
    "/requests/{id}/decide": "approveRequest denyRequest",
    "/requests/{id}/approve": "approveRequest",
    "/requests/{id}/deny": "denyRequest",
    "/requests/{id}/withdraw": "withdrawRequest",
    "/sessions/end": "endSessions",
    "/sessions/{id}/end": "endSession",
    "/alarms/{id}/seen": "markAlarmSeen",
    "/audit/export": "exportAudit",
    "/settings/mail": "setMailSettings",
    "/settings/mail/test": "testMail",
    "/settings/sms/save": "setTextSettings",
    "/settings/sms/test": "testTextMessages",
    "/settings/alarms": "setAlarmSettings",
    "/settings/certificate": "setWebCertificateSettings",
}
NO_RECORDS: Final = frozenset({"", "about", "healthz", "readyz", "metrics", "static", "sign-in", "invitation", "reset"})
"""First words of pages that show nothing of their own: the overview counts what the lists hold."""
ELSEWHERE: Final = {"account": "me"}


def test_api_does_everything_that_the_portal_does() -> None:
    forms = {row.address for row in PORTAL if row.method == "POST"}
    operations = {endpoint.name for endpoint in ENDPOINTS}
    assert not (IN_PERSON | BY_API.keys()) - forms, "a form that is gone"
    assert {name for names in BY_API.values() for name in names.split()} <= operations
    changed = {endpoint.path.split("/")[1] for endpoint in ENDPOINTS if endpoint.writes}
    # What came later than this table has at least a place in the API where it is changed.
    assert {form.split("/")[1] for form in forms - IN_PERSON - BY_API.keys()} <= changed
    pages = {ELSEWHERE.get(word, word) for word in (row.address.split("/")[1] for row in PORTAL if row.method == "GET")}
    assert pages - NO_RECORDS <= {endpoint.path.split("/")[1] for endpoint in ENDPOINTS if not endpoint.writes}


class Program:
    """Asks the API with a token."""

    def __init__(self, gm: RunningGm, user: str, *scopes: Scope) -> None:
        new = NewToken(name="test", scopes=scopes, days=1)
        self.secret = gm.write(tokens.make_token, CONSOLE, new, gm.clock(), user).secret
        self._client = httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{gm.endpoint.port}",
            verify=False,  # noqa: S501 - who it is does not matter here
            timeout=DEADLINE_S,
            headers={"Authorization": f"Bearer {self.secret}"},
        )

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's body; its status, where it has none or says no."""
        answer = await self._client.request(method, f"/api/v1{path}", json=body)
        return answer.json() if answer.status_code == 200 else answer.status_code

    async def close(self) -> None:
        await self._client.aclose()


@contextlib.asynccontextmanager
async def _programs(gm: RunningGm, user: str) -> AsyncIterator[tuple[Program, Program]]:
    reader, changer = Program(gm, user, "read"), Program(gm, user, "change")
    try:
        yield reader, changer
    finally:
        await reader.close()
        await changer.close()


def test_token_shows_ones_own_account_and_signs_out_what_is_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.write(settle, gm.clock())
            by = gm.read(actor, "plain")
            async with _programs(gm, "plain") as (reader, changer), _programs(gm, "holder") as (_, other):
                for place in ("lost notebook", "telephone", "desk"):
                    gm.write(open_web_session, by.user_id, None, "203.0.113.9", place, gm.clock())
                lm = LinkManager(gm, await gm.enrolled_user("plain"))
                await lm.log_in()
                own = await reader.ask("GET", "/me/account")
                assert (own["name"], own["method"], own["apps"], own["recovery_codes"]) == (
                    "plain",
                    "certificate",
                    [],
                    0,
                )
                browsers = {one["browser"]: one["id"] for one in await reader.ask("GET", "/me/browsers")}
                assert set(browsers) == {"lost notebook", "telephone", "desk"}
                [connected] = await reader.ask("GET", "/me/link-managers")
                assert (connected["software"], connected["address"]) == ("lm test", "127.0.0.1")
                assert len(await reader.ask("GET", f"/users/{by.user_id}/connections")) == 1
                certificates = (await reader.ask("GET", "/certificates"))["items"]
                assert [one["id"] for one in certificates] == [connected["certificate_id"]]

                # Who may only read changes nothing; what is another's is not there, or stays as it was.
                lost = f"/me/browsers/{browsers['lost notebook']}"
                away = f"/me/link-managers/{connected['certificate_id']}/sign-out"
                assert await reader.ask("DELETE", lost) == 403
                assert await reader.ask("POST", away) == 403
                assert await reader.ask("PATCH", "/me/account", {"language": "de"}) == 403
                assert await other.ask("DELETE", lost) == 404
                assert await other.ask("POST", away) == 404
                assert await other.ask("POST", "/me/browsers/sign-out") == {"browsers": 0}
                assert len(await reader.ask("GET", "/me/browsers")) == 3

                assert await changer.ask("DELETE", lost) == 204
                assert await changer.ask("DELETE", lost) == 404
                assert len(await changer.ask("GET", "/me/browsers")) == 2
                assert await changer.ask("POST", "/me/browsers/sign-out") == {"browsers": 2}
                assert await changer.ask("GET", "/me/browsers") == []
                assert await changer.ask("POST", away) == 204
                await until(lambda: not gm.server.live.users())
                assert await reader.ask("GET", "/me/link-managers") == []
                lm.close()
                assert (await changer.ask("PATCH", "/me/account", {"language": "de"}))["language"] == "de"
                assert await changer.ask("PATCH", "/me/account", {"language": "xx"}) == 422
                assert gm.read(lambda session: session.get_one(User, by.user_id).language) == "de"

                # Its own end, and that of the token beside it.
                listed = (await reader.ask("GET", "/tokens"))["items"]
                assert len(listed) == 2
                for token in sorted(listed, key=lambda one: "change" in one["scopes"]):
                    assert (await changer.ask("POST", f"/tokens/{token['id']}/revoke"))["state"] == "revoked"
                assert (await changer.ask("GET", "/me"), await reader.ask("GET", "/me")) == (401, 401)

    asyncio.run(scenario())


def test_nothing_that_is_a_persons_is_done_by_a_token_with_every_scope(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.write(settle, gm.clock())
            now, boss = gm.clock(), gm.read(actor, "boss")
            factor = gm.write(begin_totp, boss.user_id, "telephone", now).id
            by = gm.read(lambda session: _with_token(session, boss.user_id))
            asked: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
                (people.change_password, ("hash", now)),
                (people.begin_app, ("app", now)),
                (people.confirm_app, (factor, "123456", now)),
                (people.add_passkey, ("key", "{}", b"", "host", "origin", now)),
                (people.remove_factor, (factor, now)),
                (people.make_recovery_codes, (now,)),
                (people.new_certificate, (None, "pc", "long enough", now)),
                (people.invite_own_link_manager, (None, now)),
                (tokens.make_token, (NewToken(name="again"), now)),
            ]
            for work, arguments in asked:
                with pytest.raises(Forbidden, match="token"):
                    gm.write(work, by, *arguments)
            assert gm.read(lambda session: session.get(TotpFactor, factor)) is not None

    asyncio.run(scenario())


def _with_token(session: Session, user_id: str) -> Actor:
    found = load_actor(session, user_id, "api", "127.0.0.1", frozenset(SCOPES.values()))
    assert found is not None
    return found

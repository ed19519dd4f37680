"""What machines ask: readiness, figures, logs as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.orm import Session

from gm_server.access.tokens import make_token
from gm_server.accounts.users import get_user
from gm_server.database.tables import RoleRecord
from gm_server.service.serving import _Json
from inproc.gm_running import DEADLINE_S, RunningGm, connected_plant, open_session, until

DASHBOARD = Path(__file__).parents[2] / "gm_server" / "grafana-dashboard.json"


async def _get(gm: RunningGm, path: str, token: str = "") -> tuple[int, str]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", gm.endpoint.port, ssl=context)
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: gm\r\n{bearer}Connection: close\r\n\r\n".encode())
    async with asyncio.timeout(DEADLINE_S):
        answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


def _token(gm: RunningGm, *, role: str | None) -> str:
    def make(session: Session) -> str:
        user = get_user(session, "ada")
        if role is not None:
            session.add(RoleRecord(id="rol-1", user_id=user.id, domain_id=None, role=role, created_at=1.0))
            session.flush()
        return make_token(session, user.id, "prometheus", ("read",), 1, gm.clock())[1]

    return gm.write(make)


def test_figures_are_for_who_sees_the_whole_server_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            assert await _get(gm, "/readyz") == (200, "ready\n")
            gm.grant()
            session = await open_session(user, appliance)
            assert (await _get(gm, "/metrics"))[0] == 404
            assert (await _get(gm, "/metrics", "nonsense"))[0] == 404
            assert (await _get(gm, "/metrics", _token(gm, role=None)))[0] == 404
            token = _token(gm, role="operator")
            figures: dict[str, float] = {}
            families: set[str] = set()

            async def read() -> None:
                status, text = await _get(gm, "/metrics", token)
                assert status == 200
                for family in text_string_to_metric_families(text):
                    families.update((family.name, f"{family.name}_total"))
                    for sample in family.samples:
                        figures["".join((sample.name, *sample.labels.values()))] = sample.value

            await read()
            assert figures["gatelink_gm_appliances_online"] == figures["gatelink_gm_sessions"] == 1
            assert figures["gatelink_gm_users_online"] == figures["gatelink_gm_users"] == 1
            assert figures["gatelink_gm_audit_entries_total"] > 3
            assert figures["gatelink_gm_certificate_end_secondsweb"] > gm.clock()
            session.close()
            await until(lambda: not list(gm.server.sessions.live))
            await read()
            assert figures["gatelink_gm_session_bytes_totaluser"] == len(b"there and back")
            # The dashboard asks for nothing that is not there.
            for word in json.dumps(json.loads(DASHBOARD.read_text())).replace('"', " ").replace("(", " ").split():
                if word.startswith("gatelink_gm_"):
                    name = word.split("[")[0].split("{")[0].rstrip(")")
                    assert name in families, name

    asyncio.run(scenario())


def test_log_is_one_json_object_a_line() -> None:
    record = logging.LogRecord("gm.test", logging.WARNING, "x", 1, "two\nlines %s", ("and ü",), None)
    fields = json.loads(_Json().format(record))
    assert (fields["level"], fields["logger"], fields["message"]) == ("warning", "gm.test", "two\nlines and ü")
    assert "\n" not in _Json().format(record)

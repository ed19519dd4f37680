"""A GateManager with 10,000 appliances and 1,000 users in its records, and a client that asks for pages one by one.

``python -m bench.portal make DIRECTORY`` makes the records and prints the cookie and the token as JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import ssl
import sys
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert
from sqlalchemy.orm import Session

from gm_server.access.tokens import make_token
from gm_server.config import Limits
from gm_server.database import tables
from gm_server.database.tables import Appliance, ApplianceSample, Device, Domain, Grant, Service, SessionRecord, User
from gm_server.ids import new_id
from gm_server.web.visitors import cookie_text
from inproc.gm_running import make_directory

APPLIANCES: Final = 10_000
USERS: Final = 1_000
_COMPANIES, _LINES = 50, 4
_SESSIONS, _DAY_S = 20_000, 86400.0


def make(path: Path, port: int) -> dict[str, str]:
    """Make the data directory; return the administrator's cookie, his token, and an appliance to look at."""
    # One token asks as fast as it can: what it may is not what is measured.
    limits = Limits(api_requests_per_s=1_000_000)
    directory = make_directory(path, name="bench", listen=(f"127.0.0.1:{port}",), limits=limits)
    database = directory.database()
    try:
        with database.write() as session:
            return _furnish(session, time.time())
    finally:
        database.close()


def _furnish(session: Session, now: float) -> dict[str, str]:
    domains = _domains(session, now)
    users = [
        {"id": new_id("usr"), "domain_id": domains[n % len(domains)], "name": f"user {n:04}", "created_at": now,
         "full_name": f"Person {n}", "email": f"user{n}@example.com", "phone": "", "language": ""}
        for n in range(USERS)
    ]  # fmt: skip
    session.execute(insert(User), users)
    appliances = [
        {"id": new_id("sm"), "domain_id": domains[n % len(domains)], "name": f"unit {n:05}", "state": "active",
         "certificate": b"", "certificate_sha256": secrets.token_bytes(32), "key_sha256": secrets.token_bytes(32),
         "software": "sm 1.0", "created_at": now, "enrolled_at": now, "last_seen_at": now, "hardware": "Raspberry Pi 4",
         "firmware": "1.4.0", "status": "", "events_kept": 0, "note": ""}
        for n in range(APPLIANCES)
    ]  # fmt: skip
    session.execute(insert(Appliance), appliances)
    places = [(appliance["id"], name) for appliance in appliances for name in ("plc", "hmi")]
    devices = [
        {"id": new_id("dev"), "appliance_id": appliance_id, "name": name,
         "address": "192.168.1.10" if name == "plc" else "192.168.1.11", "virtual_number": number,
         "reachable": name == "plc", "checked_at": now, "check_kind": "ping", "check_port": 0}
        for number, (appliance_id, name) in enumerate(places, 1)
    ]  # fmt: skip
    session.execute(insert(Device), devices)
    session.execute(insert(Service), [
        {"id": new_id("svc"), "device_id": device["id"], "name": "s7", "protocol": "tcp", "first_port": 102,
         "last_port": 102}
        for device in devices
    ])  # fmt: skip
    session.execute(insert(Grant), [
        {"id": new_id("grt"), "user_id": user["id"], "appliance_id": appliances[n * 7 % APPLIANCES]["id"],
         "all_services": True, "reason": "bench", "created_at": now - n}
        for n, user in enumerate(users)
    ])  # fmt: skip
    session.execute(insert(SessionRecord), [
        {"id": new_id("ses"), "user_id": users[n % USERS]["id"], "user_name": users[n % USERS]["name"],
         "appliance_id": appliances[n % APPLIANCES]["id"], "appliance_path": f"bench/{n}", "devices": "plc",
         "address": "203.0.113.1", "reason": "", "tunnel_pc": "198.18.0.2", "requested_at": now - n * 60,
         "ended_at": now - n * 60 + 30, "end_code": "user", "end_reason": "", "bytes_from_user": n}
        for n in range(_SESSIONS)
    ])  # fmt: skip
    session.execute(insert(ApplianceSample), [
        {"appliance_id": appliances[0]["id"], "at": now - n * 300, "online": True, "latency_ms": 20.0 + n % 9}
        for n in range(288)
    ])  # fmt: skip
    admin = str(users[0]["id"])
    session.add(tables.RoleRecord(id=new_id("rol"), user_id=admin, role="administrator", created_at=now))
    secret = secrets.token_bytes(32)
    session.add(
        tables.WebSession(
            id=new_id("web"),
            secret_sha256=hashlib.sha256(secret).digest(),
            user_id=admin,
            address="127.0.0.1",
            created_at=now,
            confirmed_at=now,
            last_seen_at=now,
            expires_at=now + _DAY_S,
        )
    )
    _, token = make_token(session, admin, "bench", (), 1, now)
    return {"cookie": cookie_text(secret), "token": token, "appliance": str(appliances[0]["id"])}


def _domains(session: Session, now: float) -> list[str]:
    lines: list[str] = []
    for company in range(_COMPANIES):
        top = Domain(id=new_id("dom"), path=f"company {company:02}", created_at=now)
        session.add(top)
        session.flush()
        for line in range(_LINES):
            below = Domain(id=new_id("dom"), parent_id=top.id, path=f"{top.path}/line {line}", created_at=now)
            session.add(below)
            lines.append(below.id)
    session.flush()
    return lines


class Asker:
    """Connections that ask for one address again and again."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._port = port
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._rest = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}\r\n"
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    async def rate(self, address: str, seconds: float, connections: int) -> float:
        """Return how many answers a second come over so many connections."""
        until = time.monotonic() + seconds
        counts = await asyncio.gather(*(self._ask(address, until) for _ in range(connections)))
        return sum(counts) / seconds

    async def _ask(self, address: str, until: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)
        count = 0
        try:
            while time.monotonic() < until:
                writer.write(f"GET {address}{self._rest}".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"{address}: {head[:60]!r}")
                length = next(
                    int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                await reader.readexactly(length)
                count += 1
        finally:
            writer.close()
        return count


def main(arguments: list[str]) -> None:
    """Make the records."""
    path, port = arguments
    made: dict[str, Any] = make(Path(path), int(port))
    print(json.dumps(made))


if __name__ == "__main__":
    main(sys.argv[2:])

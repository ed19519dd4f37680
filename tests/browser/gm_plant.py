"""A GateManager on loopback with a plant in its records, in a thread of its own, for browsers to look at.

Who is signed in is written into the records: how people sign in is for other tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from gatelink import messages
from gm_server.access.actors import RoleName
from gm_server.accounts.users import add_user, get_user
from gm_server.appliances.devices import add_device, add_services, get_device
from gm_server.appliances.domains import add_domain, get_domain
from gm_server.appliances.presets import preset
from gm_server.appliances.registry import add_appliance, get_appliance
from gm_server.config import Limits
from gm_server.database.tables import Alarm, ApplianceSample, RoleRecord, WebSession
from gm_server.ids import new_id
from gm_server.web.visitors import COOKIE, cookie_text
from inproc.gm_running import Appliance, Clock, RunningGm, User, make_directory

R = TypeVar("R")
DEADLINE_S = 60.0
HOUR_S = 3600.0


class Plant:
    """The server, who is connected to it, and the way into its thread."""

    def __init__(self, directory: Path, **changes: Any) -> None:
        changes = {"name": "Acme Remote", "limits": Limits(pending_per_address=512, web_per_address=128)} | changes
        self.gm = RunningGm(make_directory(directory, **changes), Clock())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gatemanager", daemon=True)
        self._thread.start()
        self._parties: list[Appliance | User] = []

    @property
    def url(self) -> str:
        """Where browsers find it."""
        return f"https://127.0.0.1:{self.gm.endpoint.port}"

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run something in the server's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def start(self) -> None:
        self.run(self.gm.server.start())

    def close(self) -> None:
        self.disconnect()
        self.run(self.gm.server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def disconnect(self) -> None:
        """Let every party hang up."""
        parties, self._parties = self._parties, []
        self._loop.call_soon_threadsafe(lambda: [party.close() for party in parties])

    def connect_appliance(self, path: str) -> Appliance:
        """Enrol an appliance that exists, and log it in."""

        async def connect() -> Appliance:
            appliance = Appliance(self.gm, await self.gm.enrolled_appliance(path))
            assert isinstance(await appliance.log_in(), messages.Welcome)
            return appliance

        appliance = self.run(connect())
        self._parties.append(appliance)
        return appliance

    def connect_user(self, name: str) -> User:
        """Enrol a user that exists, and log his LinkManager in."""

        async def connect() -> User:
            user = User(self.gm, await self.gm.enrolled_user(name))
            assert isinstance(await user.log_in(), messages.Welcome)
            return user

        user = self.run(connect())
        self._parties.append(user)
        return user

    def sign_in(self, name: str) -> dict[str, Any]:
        """Return the cookie of a new web session of a user, as playwright wants it."""
        secret, now = secrets.token_bytes(32), self.gm.clock()

        def make(session: Session) -> None:
            session.add(
                WebSession(
                    id=new_id("web"),
                    secret_sha256=hashlib.sha256(secret).digest(),
                    user_id=get_user(session, name).id,
                    address="127.0.0.1",
                    browser="test",
                    created_at=now,
                    confirmed_at=now,
                    last_seen_at=now,
                    expires_at=now + 8 * HOUR_S,
                )
            )

        self.gm.write(make)
        return {"name": COOKIE, "value": cookie_text(secret), "url": self.url, "secure": True, "httpOnly": True}

    def give_role(self, name: str, role: RoleName, domain: str | None = None) -> None:
        """Give a user a role."""

        def make(session: Session) -> None:
            domain_id = get_domain(session, domain).id if domain is not None else None
            user_id = get_user(session, name).id
            session.add(RoleRecord(id=new_id("rol"), user_id=user_id, domain_id=domain_id, role=role, created_at=1.0))

        self.gm.write(make)


@contextlib.contextmanager
def running_plant(directory: Path, furnish: Callable[[Session, float], None], **changes: Any) -> Iterator[Plant]:
    """A GateManager with the records that ``furnish`` makes, until the end of the block."""
    plant = Plant(directory, **changes)
    plant.gm.write(furnish, plant.gm.clock())
    plant.start()
    try:
        yield plant
    finally:
        plant.close()


def furnish(session: Session, now: float) -> None:
    """Three companies, some lines, PLCs from presets, people."""
    for path in ("acme", "acme/bottling", "acme/packaging", "acme/packaging/line 2", "nordwind", "nordwind/turbines"):
        add_domain(session, path, now)
    units = {
        "acme/bottling": ("filler 1", "filler 2", "capper", "labeller"),
        "acme/packaging": ("palletizer", "wrapper"),
        "acme/packaging/line 2": ("robot cell", "conveyor"),
        "nordwind/turbines": ("nw-01", "nw-02", "nw-03", "nw-04", "nw-05"),
    }
    for domain, names in units.items():
        for name in names:
            add_appliance(session, domain, name, now)
    for number, (name, kind) in enumerate((("PLC", "s7"), ("HMI", "vnc"), ("Drive", "modbus"))):
        add_device(session, "acme/bottling/filler 1", name, f"192.168.10.{10 + number}")
        add_services(session, f"acme/bottling/filler 1/{name}", preset(kind))
    for name, reachable in (("PLC", True), ("HMI", True), ("Drive", False)):
        device = get_device(session, f"acme/bottling/filler 1/{name}")
        device.reachable, device.checked_at = reachable, now - 40
    for name, domain in (("ada", "acme"), ("grace", "acme"), ("linus", "nordwind"), ("olivia", "acme/bottling")):
        user = add_user(session, name, domain, now)
        user.full_name = {"ada": "Ada Lovelace", "grace": "Grace Hopper"}.get(name, "")
        user.email = f"{name}@example.com"
    filler = get_appliance(session, "acme/bottling/filler 1")
    filler.hardware, filler.firmware = "Raspberry Pi 4", "1.4.0"
    for step in range(7 * 24):
        at = now - (7 * 24 - step) * HOUR_S
        busy = step % 24 in range(7, 17)
        session.add(
            ApplianceSample(
                appliance_id=filler.id,
                at=at,
                online=not 70 <= step <= 73,
                latency_ms=22.0 + (step * 7) % 19 + (25 if busy else 0),
                bytes_from_users=(step * 37 % 11) * 400_000 if busy else 2_000,
                bytes_from_appliance=(step * 53 % 13) * 2_300_000 if busy else 9_000,
                uplink="wan" if step < 120 else "cellular",
                port=11444 if step < 120 else 443,
            )
        )
    session.add(
        Alarm(
            id=new_id("alm"),
            kind="appliance-offline",
            subject_id=get_appliance(session, "nordwind/turbines/nw-03").id,
            subject_name="nordwind/turbines/nw-03",
            domain="nordwind/turbines",
            text="offline for 42 minutes",
            since=now - 42 * 60,
        )
    )

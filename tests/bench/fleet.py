"""Program: many SiteManagers in one process, each with its own certificate and a real control connection.

Usage: python -m bench.fleet make GM_DATA FLEET COUNT      certificates, and as many appliances in the GM's database
       python -m bench.fleet run FLEET ADDRESS PORT        keeps all of them connected, as ``sm`` does

Says "all up after S s" each time when every one of them is connected.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
import time
from pathlib import Path

import msgspec

from gatelink import identity, messages
from gatelink.exceptions import Refused
from gatelink.link.endpoints import Endpoint
from gatelink.link.keeper import Keeper
from gatelink.messages import PinAlarm, Welcome
from gatelink.pins import Pin
from gm_server.appliances.domains import add_domain
from gm_server.database.tables import Appliance
from gm_server.directory import DataDirectory

DOMAIN = "fleet"


def make(data: Path, fleet: Path, count: int) -> None:
    """Enrol ``count`` appliances without the wire: what is measured is their connections."""
    directory = DataDirectory(data)
    authority = directory.device_authority()
    now = datetime.datetime.now(datetime.UTC)
    fleet.mkdir()
    with directory.database().write() as session:
        domain = add_domain(session, DOMAIN, now.timestamp())
        for number in range(count):
            key = identity.new_key()
            certificate = identity.issue(identity.make_request(key), authority, f"sm-{number}", now, 10)
            (fleet / f"{number}.pem").write_bytes(identity.to_pem(identity.Identity(certificate, key)))
            session.add(
                Appliance(
                    id=f"sm-{number}",
                    domain_id=domain.id,
                    name=f"unit{number}",
                    state="active",
                    certificate=certificate,
                    certificate_sha256=identity.certificate_sha256(certificate),
                    key_sha256=identity.key_sha256(certificate),
                    created_at=now.timestamp(),
                )
            )
    pin = Pin(directory.appliance_identity().certificate, "proof")
    (fleet / "pin").write_bytes(msgspec.msgpack.encode(pin))


class Fleet:
    """Counts who is connected."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._connected: set[int] = set()
        self._begin = time.monotonic()

    def connected(self, number: int) -> None:
        self._connected.add(number)
        if len(self._connected) == self._size:
            print(f"all up after {time.monotonic() - self._begin:.2f} s", flush=True)

    def lost(self, number: int) -> None:
        if len(self._connected) == self._size:
            self._begin = time.monotonic()
        self._connected.discard(number)


class Unit:
    """One SiteManager's control connection."""

    def __init__(self, fleet: Fleet, number: int, way: Endpoint) -> None:
        self._fleet, self._number, self._way = fleet, number, way

    def ways(self) -> tuple[Endpoint, ...]:
        return (self._way,)

    def login(self, way: Endpoint, alarms: tuple[PinAlarm, ...]) -> messages.Message:
        return messages.ApplianceLogin(software="bench", run_id=f"run-{self._number}", route=way.route)

    def pin_changed(self, pin: Pin) -> None:
        raise AssertionError("nobody changed the certificate")

    def connected(self, welcome: Welcome, way: Endpoint) -> None:
        self._fleet.connected(self._number)

    def received(self, message: messages.GmToAppliance) -> None:
        pass

    def lost(self, reason: str, retry_s: float) -> None:
        self._fleet.lost(self._number)

    def is_final(self, refusal: Refused) -> bool:
        return False


def load(directory: Path) -> tuple[Pin, list[identity.Identity]]:
    """Read what ``make`` wrote."""
    pin = msgspec.msgpack.decode((directory / "pin").read_bytes(), type=Pin)
    return pin, [identity.from_pem(file.read_bytes()) for file in directory.glob("*.pem")]


async def run(directory: Path, way: Endpoint) -> None:
    """Keep every unit connected until ended."""
    pin, identities = load(directory)
    fleet = Fleet(len(identities))
    async with asyncio.TaskGroup() as group:
        for number, me in enumerate(identities):
            keeper = Keeper(Unit(fleet, number, way), pin, me, messages.GM_TO_APPLIANCE)
            group.create_task(keeper.run())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", gm_data, fleet_directory, count]:
            make(Path(gm_data), Path(fleet_directory), int(count))
        case ["run", fleet_directory, address, port]:
            asyncio.run(run(Path(fleet_directory), Endpoint(address, int(port))))
        case _:
            sys.exit(__doc__)

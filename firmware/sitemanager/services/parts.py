"""What the daemon runs beside the link: the one place where a further part is added.

A part is made from the ``Surroundings``: it registers its requests at the desk and its messages at the line, and gets
every configuration that comes into force by ``use``. ``Daemon`` knows no part by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sitemanager.config import Config
from sitemanager.core.status import Status
from sitemanager.host.slots import Slots
from sitemanager.host.state import State

from .appliance_status import ApplianceReport
from .capture import Capture
from .contacts import Contacts
from .desk import Desk
from .dev_port import DevPort
from .device_checks import DeviceChecks
from .discovery import Discovery
from .doctor.part import Doctor
from .gm_line import GmLine
from .heartbeat import Heartbeat
from .network_state import NetworkState
from .remote_access import RemoteAccess
from .serial.part import SerialPorts
from .setup import Setup
from .stick import Stick
from .update.part import Firmware
from .update.record import Record
from .uplinks import Uplinks

if TYPE_CHECKING:
    from .configuration import Configuration


class Part(Protocol):
    """Something that runs with the daemon."""

    async def use(self, config: Config) -> None:
        """Put a configuration in force: at the start, at every change and when a change is rolled back.

        Idempotent, and quick where nothing of this part changed. Raises NetworkError or InputError if it cannot be:
        the change is then rolled back, and ``use`` is called with the configuration from before.
        """

    async def close(self) -> None:
        """End; nothing is left on the host but what is to outlive the daemon."""


class Surroundings:
    """What a part gets. ``status`` is the daemon's as ``sm status`` shows it; ``record`` makes an audit entry or alarm
    that the GateManager gets for certain, now or later (kind, text)."""

    def __init__(
        self,
        state: State,
        runtime: Path,
        desk: Desk,
        line: GmLine,
        appliance: ApplianceReport,
        report: Callable[[str], None],
        status: Callable[[], Status],
        record: Callable[[str, str], None],
        stop: Callable[[], None],
        access: RemoteAccess,
        setup: Setup,
        configuration: Configuration,
        network: NetworkState,
        slots: Slots,
        provision_from: tuple[Path, ...] = (),
    ) -> None:
        self.state = state
        self.network = network
        self.runtime = runtime
        self.desk = desk
        self.line = line
        self.appliance = appliance
        self.report = report
        self.status = status
        self.record = record
        self.stop = stop
        """End the daemon in good order; whoever supervises it starts it again."""
        self.access = access
        self.setup = setup
        self.configuration = configuration
        self.slots = slots
        self.provision_from = provision_from


def parts(around: Surroundings) -> list[Part]:
    """Return every part, in the order in which they get a configuration; they end the other way round."""
    around.appliance.modes = ("routed", "bridged")
    checks = DeviceChecks(around.line, around.desk, around.report, lambda: around.status().now)
    uplinks = Uplinks(
        around.line,
        around.desk,
        around.appliance,
        around.network,
        around.state,
        lambda: around.status().connected,
        around.report,
        around.runtime,
    )
    serial = SerialPorts(around.desk, around.appliance, around.report)
    around.network.observers.append(serial.sessions_changed)
    firmware = Firmware(
        around.slots,
        Record(around.state.directory),
        around.desk,
        around.line,
        around.appliance,
        lambda: bool(around.status().sessions),
        around.report,
        around.record,
    )
    return [
        Heartbeat(around.runtime, around.status, around.record),
        DevPort(around.report),
        Stick(around.provision_from, around.state, around.configuration, around.setup, around.report),
        Contacts(around.access, around.status, around.report, around.record),
        checks,
        serial,
        Discovery(around.line, around.desk, around.network, around.report),
        uplinks,
        Capture(around.desk),
        Doctor(around.desk, around.network, around.state, checks.devices),
        firmware,
    ]


async def close_all(running: list[Part], report: Callable[[str], None]) -> None:
    """End every part, whatever happens in one of them."""
    for part in reversed(running):
        try:
            async with asyncio.timeout(10.0):
                await part.close()
        except Exception as error:  # noqa: BLE001 - the others have to end as well
            report(f"{type(part).__name__} did not end well: {error!r}")

"""The serial ports of this unit, as a part of the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from gatelink.messages import LineSettings, SerialPortState
from sitemanager.config import Config
from sitemanager.core.desired import SessionNetwork
from sitemanager.core.local import Caller
from sitemanager.core.serial_requests import SerialPortRow, SerialPortsAnswer, SerialPortsRequest
from sitemanager.core.serial_settings import FoundPort, Offer, SerialConfig, lines, matching, offers
from sitemanager.exceptions import NetworkError
from sitemanager.host.serial.ports import found_ports
from sitemanager.services.appliance_status import ApplianceReport
from sitemanager.services.desk import Desk

from . import bridges
from .client import Client
from .gateway import Gateway
from .listeners import Listeners
from .port import SerialPort

LOOK_S: Final = 2.0
"""Between two looks at what is plugged in."""


class SerialPorts:
    """A part: see ``services.parts``. ``find`` returns what is plugged in."""

    def __init__(
        self,
        desk: Desk,
        appliance: ApplianceReport,
        report: Callable[[str], None],
        find: Callable[[], tuple[FoundPort, ...]] = found_ports,
    ) -> None:
        self._report = report
        self._appliance = appliance
        self._find = find
        self._found: tuple[FoundPort, ...] = ()
        self._ports: dict[str, SerialPort] = {}
        self._gateways: dict[str, Gateway] = {}
        self._sessions: dict[str, SessionNetwork] = {}
        self._listeners = Listeners(self._serve, report)
        self._looking: asyncio.Task[None] | None = None
        appliance.serial_ports = self.states
        desk.register(SerialPortsRequest, self._rows)

    async def use(self, config: Config) -> None:
        """Use other settings; a port whose settings changed is closed for whoever has it."""
        self._found = self._find()
        wanted = {port.name: port for port in (*self._defaults(config), *config.serial)}
        for name, port in list(self._ports.items()):
            if wanted.get(name) != port.own:
                port.close()
                del self._ports[name]
        for name, settings in wanted.items():
            if name not in self._ports:
                self._ports[name] = self._port(settings)
        self._set_lines()
        self._config = config
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        self._appliance.changed()

    async def close(self) -> None:
        """Close every port and listener."""
        if self._looking is not None:
            self._looking.cancel()
        await self._listeners.close()
        for port in self._ports.values():
            port.close()
        for gateway in self._gateways.values():
            await gateway.close()

    def sessions_changed(self, sessions: Sequence[SessionNetwork]) -> None:
        """Serve what these sessions may use; whose session is away waits, who lost his right is cut off."""
        self._sessions = {session.pc: session for session in sessions}
        granted = {session.pc: offers(session.devices) for session in sessions}
        self._listeners.use(frozenset().union(*granted.values()))
        self._set_lines()
        for port in self._ports.values():
            for client in port.clients:
                session = self._sessions.get(client.pc)
                if session is None:
                    client.away(self._give_up)
                elif session.mark == client.mark and client.offer in granted[client.pc]:
                    client.back()
                else:
                    client.close()

    def states(self) -> tuple[SerialPortState, ...]:
        """Return what the GateManager is told."""
        return tuple(
            SerialPortState(row.name, row.text, row.present, row.used_by[:128])
            for row in self._rows(SerialPortsRequest(), Caller("owner")).ports
        )

    def _set_lines(self) -> None:
        """Settings stay while no session has the port: the one that comes back finds its line as it left it."""
        wanted: dict[str, LineSettings | None] = {}
        for session in self._sessions.values():
            wanted |= lines(session.devices)
        for name, line in wanted.items():
            if name in self._ports:
                self._ports[name].use(line)

    def _defaults(self, config: Config) -> list[SerialConfig]:
        """Ports that are plugged in and that no entry means, with settings of every day."""
        meant = {matching(entry, self._found) for entry in config.serial}
        return [SerialConfig(name=port.name) for port in self._found if port.path not in meant]

    def _port(self, settings: SerialConfig) -> SerialPort:
        return SerialPort(settings, lambda: self._path(settings), self._report)

    def _path(self, settings: SerialConfig) -> str | None:
        return matching(settings, self._found)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if (found := self._find()) != self._found:
                names = {port.name for port in self._found}, {port.name for port in found}
                for words, changed in (("plugged in", names[1] - names[0]), ("gone", names[0] - names[1])):
                    for name in sorted(changed):
                        self._report(f"serial port {name} is {words}")
                await self.use(self._config)

    async def _serve(self, offer: Offer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pc = writer.get_extra_info("peername")[0]
        session, port = self._sessions.get(pc), self._ports.get(offer.serial_port)
        if session is None or port is None or offer not in offers(session.devices):
            writer.transport.abort()
            if port is None:
                self._report(f"there is no serial port {offer.serial_port} here")
            return
        client = Client(offer, pc, session.mark, session.user or pc, reader, writer)
        refusal = port.admit(client)
        if refusal is not None:
            self._report(f"serial port {offer.serial_port}: {client.user} is not let in: {refusal}")
            client.close()
            return
        self._report(f"serial port {offer.serial_port}: open for {client.user} ({offer.kind})")
        self._appliance.changed()
        try:
            if offer.kind == "modbus":
                await self._gateway(port).serve(client)
            else:
                await bridges.serve(port, client)
        except NetworkError as error:
            self._report(str(error))
        finally:
            client.close()
            port.leave(client)
            self._report(f"serial port {offer.serial_port}: {client.user} left")
            self._appliance.changed()

    def _gateway(self, port: SerialPort) -> Gateway:
        known = self._gateways.get(port.config.name)
        if known is None or known.port is not port:
            known = self._gateways[port.config.name] = Gateway(port, self._report)
        return known

    def _give_up(self, client: Client) -> None:
        self._report(f"serial port {client.offer.serial_port}: {client.user}'s session did not come back")
        client.close()

    def _rows(self, request: SerialPortsRequest, caller: Caller) -> SerialPortsAnswer:
        del request, caller
        found = {port.path: port for port in self._found}
        rows = []
        for name, port in sorted(self._ports.items()):
            path = self._path(port.config) or ""
            text = found[path].text if path in found else ""
            is_there = bool(path) and (path in found or path == port.config.device)
            rows.append(SerialPortRow(name, path, text, port.settings_text, is_there, ", ".join(port.users)))
        return SerialPortsAnswer(ports=tuple(rows))

"""All checks in order, and the letter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gatelink.link.endpoints import Endpoint, endpoints
from sitemanager.config import Config
from sitemanager.core.device_requests import DevicesAnswer
from sitemanager.core.diagnosis import (
    DoctorAnswer,
    DoctorRequest,
    Finding,
    Needs,
    address_findings,
    letter,
    overlap_findings,
)
from sitemanager.core.local import Caller
from sitemanager.exceptions import NetworkError
from sitemanager.host import times
from sitemanager.host.network import programs
from sitemanager.host.state import State
from sitemanager.services.desk import Desk
from sitemanager.services.network_state import NetworkState

from . import gatemanager, here, machine, way

DEADLINE_S: Final = 60.0
MOST_WAYS: Final = 24


class Doctor:
    """A part: see ``services.parts``. ``devices`` returns what is known of the devices."""

    def __init__(self, desk: Desk, network: NetworkState, state: State, devices: Callable[[], DevicesAnswer]) -> None:
        self._network = network
        self._state = state
        self._devices = devices
        self._config = Config()
        self._turn = asyncio.Lock()
        desk.register(DoctorRequest, self._examine, deadline_s=DEADLINE_S)

    async def use(self, config: Config) -> None:
        """Look at this configuration from now on."""
        self._config = config

    async def close(self) -> None:
        """Nothing is left."""

    async def _examine(self, request: DoctorRequest, caller: Caller) -> DoctorAnswer:
        del request, caller
        async with self._turn:
            config = self._config
            told = self._state.known().gm_addresses
            addresses = tuple(dict.fromkeys((*config.gm_addresses, *told)))
            findings = [*await self._here(config)]
            findings += await gatemanager.names(addresses)
            ways = endpoints(addresses, config.ports, [entry.proxy for entry in config.proxies])[:MOST_WAYS]
            findings += await self._outside(ways)
            findings += machine.devices(self._devices().devices)
            return DoctorAnswer(findings=tuple(findings), letter=letter(await self._needs(config, addresses), findings))

    async def _here(self, config: Config) -> list[Finding]:
        try:
            findings = [*await asyncio.to_thread(here.cables, config.dev_interfaces)]
            networks = await self._network.known_networks()
        except NetworkError as error:
            return [Finding("network", "unknown", str(error))]
        findings += address_findings(networks, config.dev_interfaces)
        findings += await here.duplicates(networks)
        findings += overlap_findings(networks, config.dev_interfaces)
        return findings

    async def _outside(self, ways: tuple[Endpoint, ...]) -> list[Finding]:
        if not ways:
            step = "sm enrol, or the set-up page: the claim names it"
            return [Finding("GateManager", "fault", "no address of the GateManager is known", step)]
        seen = await gatemanager.contacts(ways, self._state.pin(), times.system_unix_s())
        address = ways[0].address
        portal, mtu = await asyncio.gather(way.portal(address), way.longest_packet(address))
        return [*seen.findings, *portal, *mtu]

    async def _needs(self, config: Config, addresses: tuple[str, ...]) -> Needs:
        own_address, own_mac = await asyncio.to_thread(_own_end, config.dev_interfaces)
        proxies = tuple(f"{entry.host}:{entry.port}" for entry in config.proxies)
        return Needs(addresses, config.ports, own_address, own_mac, proxies)


def _own_end(dev_interfaces: tuple[str, ...]) -> tuple[str, str]:
    """Address and MAC of the uplink, as the site's firewall sees them."""
    try:
        for link in programs.ask_ip("-4", "address", "show", "up"):
            name = str(link.get("ifname", ""))
            if name == "lo" or name in dev_interfaces or name.startswith("gls"):
                continue
            for entry in link.get("addr_info", ()):
                mac = next((str(one.get("address", "")) for one in programs.ask_ip("link", "show", name)), "")
                return str(entry.get("local", "")), mac
    except NetworkError:
        pass
    return "", ""

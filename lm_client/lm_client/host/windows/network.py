"""TAP adapters and host routes on Windows, as ``lm_client.host.Network`` wants them.

Adapters are not made but found: the installer makes some and names them ``Gatelink`` (and a number), so that those of
other programs are left alone. What is free is opened; what was used is given back without an address and a route.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from lm_client.exceptions import HostError
from lm_client.host import Bridge
from lm_client.service.rules import KernelRoute

from .ip_helper import IpHelper, luid_of
from .registry import Registry
from .tap_device import ADAPTER_CLASS, CONNECTIONS, TapDevice, find_adapters, open_tap

NAME: Final = "Gatelink"
"""How the names of our adapters begin, in the list of network connections."""


@dataclass(eq=False)
class WindowsAdapter:
    """An open adapter."""

    device: TapDevice
    name: str
    luid: int
    pc: IPv4Address
    gateway: IPv4Address
    bridge: Bridge | None = None

    @property
    def descriptor(self) -> int:
        """The open handle."""
        return self.device.handle


class WindowsNetwork:
    """``iphlpapi`` and ``kernel32`` are those of ``dlls.load``."""

    def __init__(self, iphlpapi: Any, kernel32: Any, registry: Registry) -> None:
        self._iphlpapi = iphlpapi
        self._ip = IpHelper(iphlpapi)
        self._kernel32 = kernel32
        self._registry = registry

    def routes(self) -> list[KernelRoute]:
        """Return every IPv4 route."""
        return self._ip.routes()

    def open(
        self, label: str, pc: IPv4Address, gateway: IPv4Address, mtu_bytes: int, bridge: Bridge | None = None
    ) -> WindowsAdapter:
        """Open the first of our adapters that nobody uses. Its driver's MTU is 1500 and stays."""
        ours = self.adapters()
        if not ours:
            raise HostError(f"this PC has no TAP adapter named {NAME}: install the LinkManager again")
        for name, guid in ours.items():
            try:
                device = open_tap(self._kernel32, guid)
            except HostError:
                continue
            try:
                luid = self._luid(guid)
                device.set_connected(connected=True)
            except BaseException:
                device.close()
                raise
            return WindowsAdapter(device, name, luid, pc, gateway, bridge)
        raise HostError(f"all {len(ours)} TAP adapters named {NAME} are in use: end a session, or add an adapter")

    def apply(self, adapter: WindowsAdapter, devices: Sequence[IPv4Address]) -> None:
        """Set address, neighbour and routes."""
        luid, bridge = adapter.luid, adapter.bridge
        own = adapter.pc if bridge is None else bridge.plant.ip if bridge.plant else None
        for address in self._ip.addresses(luid):
            if address != own:
                self._ip.remove_address(luid, address)
        if own is not None:
            self._ip.set_address(luid, own)
        present = self._ip.host_routes(luid)
        if bridge is None:
            self._ip.set_neighbour(luid, adapter.gateway)
            self._ip.set_routes(luid, adapter.gateway, devices, present)
        else:
            self._ip.set_link_routes(luid, devices, present)

    def remove(self, adapter: WindowsAdapter) -> None:
        """Take routes and address away and unplug the cable: a handle that somebody kept leads nowhere."""
        try:
            self._reset(adapter.luid)
            adapter.device.set_connected(connected=False)
        finally:
            adapter.device.close()

    def clean_up(self) -> list[str]:
        """Take routes and addresses from our adapters."""
        return [name for name, guid in self.adapters().items() if self._reset(self._luid(guid))]

    def adapters(self) -> dict[str, str]:
        """Return our adapters: GUID by name."""
        registry = self._registry
        classes = [registry.values(f"{ADAPTER_CLASS}\\{key}") for key in registry.subkeys(ADAPTER_CLASS)]
        found = {}
        for guid in find_adapters(classes):
            name = registry.values(f"{CONNECTIONS}\\{guid}\\Connection").get("Name", "")
            if name == NAME or name.startswith(f"{NAME} "):
                found[name] = guid
        return dict(sorted(found.items()))

    def _luid(self, guid: str) -> int:
        return luid_of(self._iphlpapi, uuid.UUID(guid).bytes_le)

    def _reset(self, luid: int) -> bool:
        """Return whether there was anything."""
        removed = self._ip.remove_routes(luid)
        # Windows gives an adapter without an address one of 169.254/16: no trace of ours.
        addresses = [address for address in self._ip.addresses(luid) if not address.is_link_local]
        for address in addresses:
            self._ip.remove_address(luid, address)
        return bool(removed or addresses)

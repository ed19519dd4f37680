"""Where the addresses of the ways out come from: the configuration, a DHCP server, a modem, or what the system did."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sitemanager.core.uplink_settings import UplinkConfig
from sitemanager.core.uplinks import Given, Seen, Wanted
from sitemanager.host.modem import LinuxModem, ModemHost
from sitemanager.host.wifi import LinuxWifi, WifiHost

from .lease_client import LeaseClient
from .modem_client import ModemClient
from .wifi_client import WifiClient


class Origins:
    """Runs what each uplink wants: DHCP client, Wi-Fi, modem. ``changed`` is called when one has something new."""

    def __init__(
        self,
        runtime: Path,
        report: Callable[[str], None],
        wifi: WifiHost | None = None,
        modem: ModemHost | None = None,
    ) -> None:
        self._wifi = wifi or LinuxWifi(runtime / "wifi")
        self._modem = modem or LinuxModem()
        self._radios: dict[tuple[object, ...], WifiClient | ModemClient] = {}
        """By what they were made of: whoever changes that makes a new one."""
        self._report = report
        self.changed: Callable[[], None] = lambda: None
        self._uplinks: Sequence[UplinkConfig] = ()
        self._clients: dict[str, LeaseClient] = {}
        """By interface: an uplink that is renamed or moved keeps its lease."""
        self._new: set[str] = set()
        self._has_line: dict[str, bool] = {}
        self._news = asyncio.Event()

    async def use(self, uplinks: Sequence[UplinkConfig]) -> None:
        """Ask for these from now on. Raises NetworkError if a program is missing."""
        wanted = {_radio(uplink): uplink for uplink in uplinks if uplink.ssid or uplink.apn}
        for key in self._radios.keys() - wanted.keys():
            await self._radios.pop(key).close()
        for key in wanted.keys() - self._radios.keys():
            self._radios[key] = self._new_radio(wanted[key])
        asking = {uplink.interface for uplink in uplinks if uplink.dhcp}
        for interface in self._clients.keys() - asking:
            await self._clients.pop(interface).close()
        self._new = asking - self._clients.keys()
        for interface in sorted(self._new):
            self._clients[interface] = LeaseClient(interface, self._report, self._on_lease)
        self._uplinks = uplinks

    async def settled(self, timeout_s: float) -> None:
        """Wait until every client that the last ``use`` started has an address, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(self._clients[interface].given is None for interface in self._new):
                    self._news.clear()
                    await self._news.wait()

    def wanted(self) -> tuple[Wanted, ...]:
        """Return what each uplink is to have now."""
        return tuple(self._wanted(uplink) for uplink in self._uplinks)

    def saw(self, seen: Mapping[str, Seen]) -> None:
        """Ask anew where a cable came back: it may lead elsewhere now."""
        for uplink in self._uplinks:
            has_line, before = seen[uplink.name].has_line, self._has_line.get(uplink.interface, True)
            self._has_line[uplink.interface] = has_line
            if has_line and not before and uplink.interface in self._clients:
                self._clients[uplink.interface].ask_again()

    async def close(self) -> None:
        """End them all."""
        await self.use(())

    def _wanted(self, uplink: UplinkConfig) -> Wanted:
        radio = self._radios.get(_radio(uplink))
        if radio is not None and radio.text:
            return Wanted(uplink, text=radio.text)
        if isinstance(radio, ModemClient) and radio.given is not None:
            return Wanted(uplink, radio.given)
        if uplink.address:
            return Wanted(uplink, Given(uplink.address, uplink.gateway))
        if not uplink.dhcp:
            return Wanted(uplink)
        given = self._clients[uplink.interface].given
        return Wanted(uplink, given, "" if given is not None else "no DHCP server has answered yet")

    def _new_radio(self, uplink: UplinkConfig) -> WifiClient | ModemClient:
        if uplink.ssid:
            return WifiClient(uplink, self._wifi, self._report, self._on_lease)
        return ModemClient(uplink, self._modem, self._report, self._on_lease)

    def _on_lease(self) -> None:
        self._news.set()
        self.changed()


def _radio(uplink: UplinkConfig) -> tuple[object, ...]:
    """What a Wi-Fi or modem connection is made of."""
    modem = (uplink.apn, uplink.apn_user, uplink.apn_password, uplink.pin, uplink.dhcp)
    return (uplink.interface, uplink.ssid, uplink.passphrase, *modem)

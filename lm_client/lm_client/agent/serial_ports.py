"""The serial devices of a session, each as a pty with a name that stays; on Windows at a com0com pair."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gatelink.messages import DeviceAccess, LineSettings, Service
from lm_client.core.addressing import Choice

from .bridges import Bridge, MakeBridge, bridge_maker

_USUAL: Final = LineSettings(9600)


class _Key(NamedTuple):
    """What a pty is made of: another one is made when anything of it changes."""

    device_id: str
    url: str
    name: str
    settings: LineSettings


class SerialPorts:
    """``directory`` is the user's own. What cannot be made is noted, never raised: other devices are not to suffer."""

    def __init__(
        self,
        directory: Path,
        forms: Mapping[str, str],
        note: Callable[[str], None],
        com_pairs: Mapping[str, str] | None = None,
        make: MakeBridge | None = None,
    ) -> None:
        """``forms`` are bits and parity by the device's name, where they are others than the administrator says."""
        self._forms = forms
        self._make = make or bridge_maker(directory, com_pairs or {})
        self._note = note
        self._bridges: dict[_Key, Bridge] = {}
        self._lock = asyncio.Lock()

    @property
    def links(self) -> dict[str, str]:
        """The path to open, by device id."""
        return {key.device_id: str(bridge.link) for key, bridge in self._bridges.items()}

    async def follow(
        self, devices: Sequence[DeviceAccess], choices: Mapping[str, Choice], name_of: Callable[[DeviceAccess], str]
    ) -> None:
        """Have a pty for exactly these serial devices."""
        wanted: dict[_Key, str] = {}
        for device in devices:
            choice = choices.get(device.device_id)
            url = url_of(device.services, choice.address) if choice and choice.address and device.serial_port else ""
            if url:
                name = name_of(device).removesuffix(".gatelink")
                wanted[_Key(device.device_id, url, name, self._settings(device, name))] = device.name
        async with self._lock:
            for key in [key for key in self._bridges if key not in wanted]:
                await asyncio.to_thread(self._bridges.pop(key).close)
            for key, shown in wanted.items():
                if key not in self._bridges:
                    try:
                        bridge = self._make(key.name, key.url, key.settings, self._note)
                    except OSError as error:
                        self._note(f"{shown} has no serial port on this PC: {error}")
                        continue
                    bridge.start()
                    self._bridges[key] = bridge

    def _settings(self, device: DeviceAccess, name: str) -> LineSettings:
        found = device.line or _USUAL
        form = self._forms.get(name)
        return msgspec.structs.replace(found, data_bits=int(form[0]), parity=form[1]) if form else found

    async def close(self) -> None:
        """Remove all."""
        await self.follow((), {}, lambda device: device.name)


def url_of(services: Sequence[Service], address: str) -> str:
    """Return where the line is, for pyserial: by RFC 2217 if that is granted, else raw; empty if neither is."""
    found = {service.name.partition("-")[0]: service.first_port for service in services if service.protocol == "tcp"}
    if port := found.get("rfc2217"):
        return f"rfc2217://{address}:{port}?timeout=5"
    raw = [port for name, port in found.items() if not name.startswith("modbus")]
    return f"socket://{address}:{raw[0]}" if raw else ""

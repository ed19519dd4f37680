"""One Wi-Fi uplink: wpa_supplicant as a child, asked for its state, started again whenever it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gatelink.exceptions import GatelinkError
from sitemanager.core.uplink_settings import UplinkConfig
from sitemanager.core.wifi import wifi_text
from sitemanager.host.wifi import WifiHost

LOOK_S: Final = 2.0
AGAIN_S: Final = 5.0


class WifiClient:
    """Runs until closed; ``text`` says why the network cannot be used, ``changed`` is called when it changed."""

    def __init__(
        self, uplink: UplinkConfig, host: WifiHost, report: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        # What is missing is told to whoever makes the change, not found by the task.
        host.argv(uplink.interface, uplink.ssid, uplink.passphrase)
        self._uplink = uplink
        self._host = host
        self._report = report
        self._changed = changed
        self.text = f"Wi-Fi {uplink.ssid}: looking for it"
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Leave the network."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._connect()
            except (OSError, GatelinkError) as error:
                self._note(f"Wi-Fi {self._uplink.ssid}: {error}")
            await asyncio.sleep(AGAIN_S)

    async def _connect(self) -> None:
        uplink = self._uplink
        process = await asyncio.create_subprocess_exec(
            *self._host.argv(uplink.interface, uplink.ssid, uplink.passphrase),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            while process.returncode is None:
                status = await asyncio.to_thread(self._host.status, uplink.interface)
                if status:
                    self._note(wifi_text(uplink.ssid, status))
                await asyncio.sleep(LOOK_S)
            self._note(f"Wi-Fi {uplink.ssid}: wpa_supplicant cannot use {uplink.interface}: is it a Wi-Fi adapter?")
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    def _note(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self._report(text or f"Wi-Fi {self._uplink.ssid}: connected")
            self._changed()

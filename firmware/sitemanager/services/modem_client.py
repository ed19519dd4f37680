"""One modem: connected by ModemManager, looked at again and again, connected anew when it lost its network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gatelink.exceptions import GatelinkError
from sitemanager.core.modem import Modem, modem_text
from sitemanager.core.uplink_settings import UplinkConfig
from sitemanager.core.uplinks import Given
from sitemanager.host.modem import ModemHost

LOOK_S: Final = 10.0
CONNECT_AGAIN_S: Final = 60.0
"""Between two attempts: a modem that is refused by its network must not ask it all the time."""


class ModemClient:
    """Runs until closed; ``changed`` is called whenever ``given`` or ``text`` changed."""

    def __init__(
        self, uplink: UplinkConfig, host: ModemHost, report: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self._uplink = uplink
        self._host = host
        self._report = report
        self._changed = changed
        self._tried_at: float | None = None
        self._has_told_pin = False
        self.given: Given | None = None
        self.text = "the modem is being looked for"
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop looking; the modem stays connected until ModemManager or somebody else ends that."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except GatelinkError as error:
                self._note(None, str(error))
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        uplink = self._uplink
        modem = await asyncio.to_thread(self._host.find, uplink.interface)
        bearer = await asyncio.to_thread(self._host.bearer, modem) if modem is not None else None
        if modem is not None and bearer is None and self._may_connect(modem):
            await self._connect(modem)
            modem = await asyncio.to_thread(self._host.find, uplink.interface) or modem
            bearer = await asyncio.to_thread(self._host.bearer, modem)
        text = modem_text(modem, bearer, has_pin=bool(self._uplink.pin))
        given = bearer.given if bearer is not None else None
        if bearer is not None and bearer.given is None and uplink.dhcp:
            text = ""
        self._note(given, text)

    def _may_connect(self, modem: Modem) -> bool:
        now = asyncio.get_running_loop().time()
        if self._tried_at is not None and now - self._tried_at < CONNECT_AGAIN_S:
            return False
        # A PIN is told once, and to a SIM that heard no wrong one: the third wrong one locks it for good.
        can_unlock = bool(self._uplink.pin) and not self._has_told_pin and modem.is_untouched
        is_locked = modem.needs == "sim-puk" or (modem.needs == "sim-pin" and not can_unlock)
        if modem.state == "failed" or is_locked:
            return False
        self._tried_at = now
        return True

    async def _connect(self, modem: Modem) -> None:
        uplink = self._uplink
        settings = {"apn": uplink.apn, "user": uplink.apn_user, "password": uplink.apn_password}
        if modem.needs == "sim-pin":
            self._has_told_pin = True
            settings["pin"] = uplink.pin
        await asyncio.to_thread(self._host.connect, modem, settings)

    def _note(self, given: Given | None, text: str) -> None:
        if (given, text) != (self.given, self.text):
            self.given, self.text = given, text
            self._report(f"modem {self._uplink.interface}: {text or 'connected'}")
            self._changed()

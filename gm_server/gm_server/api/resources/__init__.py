"""Every endpoint of the API."""

from __future__ import annotations

from typing import Final

from gm_server.api.endpoints import Endpoint

from . import access, account, devices, firmware, people, places, records, relays, settings

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *places.ENDPOINTS,
    *devices.ENDPOINTS,
    *firmware.ENDPOINTS,
    *people.ENDPOINTS,
    *access.ENDPOINTS,
    *relays.ENDPOINTS,
    *records.ENDPOINTS,
    *account.ENDPOINTS,
    *settings.ENDPOINTS,
)

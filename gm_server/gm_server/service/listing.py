"""What a user may reach, page by page: each fits a frame."""

from __future__ import annotations

from typing import Final

import msgspec

from gatelink.messages import ApplianceList, ApplianceView
from gm_server.access.facts import Facts
from gm_server.access.rights import decide

from .peers import Peers

MAX_PAGE_BYTES: Final = 48 * 1024
MAX_PAGE_APPLIANCES: Final = 512


def page(facts: Facts, user_id: str, peers: Peers, after: str, request_id: int, now: float) -> ApplianceList:
    """Return the appliances behind ``after``, by id; at least one: devices are bounded where they are made."""
    grants = facts.grants.get(user_id, ())
    views: list[ApplianceView] = []
    size_bytes = 0
    for appliance_id in sorted(appliance_id for appliance_id in facts.appliances if appliance_id > after):
        appliance = facts.appliances[appliance_id]
        rights = decide(grants, appliance, now)
        if not rights.devices:
            continue
        peer = peers.appliance(appliance_id)
        reachable = {device.device_id for device in rights.devices}
        view = ApplianceView(
            appliance_id=appliance_id,
            domain=appliance.domain,
            name=appliance.name,
            online=peer is not None,
            devices=rights.devices,
            states=tuple(state for state in appliance.states if state.device_id in reachable) if peer else (),
            modes=rights.modes,
            locked=peer is not None and peer.status is not None and peer.status.locked,
            online_since=peer.since if peer else None,
        )
        size_bytes += len(msgspec.msgpack.encode(view))
        if views and (size_bytes > MAX_PAGE_BYTES or len(views) == MAX_PAGE_APPLIANCES):
            return ApplianceList(request_id=request_id, appliances=tuple(views), more=True)
        views.append(view)
    return ApplianceList(request_id=request_id, appliances=tuple(views), more=False)

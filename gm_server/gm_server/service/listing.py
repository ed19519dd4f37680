"""What a user may reach, page by page: each fits a frame."""

from __future__ import annotations

from typing import Final

import msgspec

from gatelink.messages import ApplianceList, ApplianceView, DeviceAccess, Devices
from gm_server.access.facts import Facts
from gm_server.access.live import LiveSessions

from .peers import Peers

MAX_PAGE_BYTES: Final = 48 * 1024
MAX_PAGE_APPLIANCES: Final = 512
MAX_USERS: Final = 16


def page(
    facts: Facts, user_id: str, peers: Peers, live: LiveSessions, after: str, request_id: int, now: float
) -> ApplianceList:
    """Return the appliances behind ``after``, by id; at least one: devices are bounded where they are made."""
    views: list[ApplianceView] = []
    size_bytes = 0
    for appliance_id in sorted(appliance_id for appliance_id in facts.appliances if appliance_id > after):
        appliance = facts.appliances[appliance_id]
        rights = facts.rights(user_id, appliance, now)
        requestable = _beyond(facts.requestable(user_id, appliance, now), rights.devices)
        if not rights.devices and not requestable:
            continue
        peer = peers.appliance(appliance_id)
        reachable = {device.device_id for device in rights.devices}
        view = ApplianceView(
            appliance_id=appliance_id,
            domain=appliance.domain,
            name=appliance.name,
            online=peer is not None,
            devices=rights.devices,
            requestable=requestable,
            states=tuple(state for state in appliance.states if state.device_id in reachable) if peer else (),
            modes=rights.modes,
            needs_reason=rights.needs_reason,
            connected_users=_users(live, appliance_id),
            locked=peer is not None and peer.status is not None and peer.status.locked,
            online_since=peer.since if peer else None,
        )
        view, view_bytes = _fitting(view)
        size_bytes += view_bytes
        if views and (size_bytes > MAX_PAGE_BYTES or len(views) == MAX_PAGE_APPLIANCES):
            return ApplianceList(request_id=request_id, appliances=tuple(views), more=True)
        views.append(view)
    return ApplianceList(request_id=request_id, appliances=tuple(views), more=False)


def _users(live: LiveSessions, appliance_id: str) -> tuple[str, ...]:
    """Return who is connected to an appliance, each once: as many as a view can name."""
    names = {session.user_name for session in live.of_appliance(appliance_id) if session.state == "joined"}
    return tuple(sorted(names))[:MAX_USERS]


def _beyond(requestable: Devices, reached: Devices) -> Devices:
    """Return what may be asked for and is not open already."""
    open_now = {device.device_id: device.services for device in reached}
    found: list[DeviceAccess] = []
    for device in requestable:
        services = tuple(service for service in device.services if service not in open_now.get(device.device_id, ()))
        if services:
            found.append(msgspec.structs.replace(device, services=services))
    return tuple(found)


def _fitting(view: ApplianceView) -> tuple[ApplianceView, int]:
    """Return a view that fits a frame: what may be asked for beyond that is left out, and seen in the portal."""
    size_bytes = len(msgspec.msgpack.encode(view))
    while size_bytes > MAX_PAGE_BYTES and view.requestable:
        view = msgspec.structs.replace(view, requestable=view.requestable[: len(view.requestable) // 2])
        size_bytes = len(msgspec.msgpack.encode(view))
    return view, size_bytes

"""The daemon as it is now, gathered from its services."""

from __future__ import annotations

import msgspec

from gatelink.certificates import fingerprint_text, key_sha256
from sitemanager.core.clock import GmClock
from sitemanager.core.status import Status
from sitemanager.host import times
from sitemanager.host.state import State

from .configuration import Configuration
from .control import Control
from .enrolment import SOFTWARE
from .remote_access import RemoteAccess
from .sessions import Sessions


def daemon_status(
    state: State,
    configuration: Configuration,
    clock: GmClock,
    access: RemoteAccess,
    control: Control | None,
    sessions: Sessions | None,
    events_waiting: int,
) -> Status:
    """Return the status; ``control`` and ``sessions`` are None while the unit is not enrolled. Raises StateError."""
    steady, system = times.steady_s(), times.system_unix_s()
    enrolled = state.is_enrolled
    now = clock.now(system, steady)
    status = Status(
        software=SOFTWARE,
        enrolled=enrolled,
        name="",
        domain="",
        gm_name="",
        connected=False,
        way="",
        since=None,
        lost_reason="",
        pin_serial="",
        pin_key="",
        pin_how="",
        key="" if enrolled else fingerprint_text(state.key_sha256()),
        system_clock_set=clock.is_system_clock_set(system, steady),
        now=now,
        locked=access.reason(),
        dev_interfaces=configuration.config.dev_interfaces,
        sessions=(),
        consent_left_s=access.consent_left_s,
        notes=configuration.notes,
        events_waiting=events_waiting,
    )
    if control is None or sessions is None:
        return status
    keeper = control.keeper
    moment = control.lost_at if control.connected_at is None else control.connected_at
    return msgspec.structs.replace(
        status,
        name=control.known.name,
        domain=control.known.domain,
        gm_name=control.known.gm_name,
        connected=keeper.channel is not None,
        way=str(keeper.way) if keeper.way else "",
        since=None if moment is None else now - (steady - moment),
        lost_reason=control.lost_reason,
        retry_s=None if control.retry_at is None else max(0.0, control.retry_at - steady),
        pin_serial=keeper.pin.serial,
        pin_key=fingerprint_text(keeper.pin.key_sha256),
        pin_how=keeper.pin.how,
        key=fingerprint_text(key_sha256(control.identity.certificate)),
        sessions=sessions.status(now),
    )

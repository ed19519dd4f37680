"""What a page says after something was done: the address carries a key of these, never a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DONE: Final[Mapping[str, str]] = {
    "saved": "Saved.",
    "adopted": "Adopted. It gets its certificate when it asks next, within a minute.",
    "turned-away": "Turned away.",
    "appliance-revoked": "The appliance is revoked.",
    "appliance-removed": "The appliance is removed.",
    "device-added": "The device is added. Grant it to somebody, and it can be reached.",
    "device-removed": "The device is removed.",
    "service-added": "The service is added.",
    "service-removed": "The service is removed.",
    "scan-started": "The appliance looks around; what it finds appears here.",
    "domain-added": "The domain is made.",
    "domain-removed": "The domain is removed.",
    "user-added": "The account is made.",
    "user-disabled": "The account is disabled.",
    "user-enabled": "The account is enabled again.",
    "user-removed": "The account is removed.",
    "invitation-revoked": "The invitation is taken back.",
    "password-changed": "Your password is changed. Everywhere else you are signed out.",
    "factor-added": "It is set up, and asked for from your next login on.",
    "factor-removed": "It is removed.",
    "signed-out": "Signed out.",
    "certificate-revoked": "The certificate is revoked.",
    "group-added": "The group is made.",
    "group-removed": "The group is removed.",
    "member-added": "Added to the group.",
    "member-removed": "Taken out of the group.",
    "role-given": "The role is given.",
    "role-taken": "The role is taken away.",
    "grant-added": "Granted.",
    "grant-ended": "The grant is ended.",
    "session-ended": "The session is ended.",
    "sessions-ended": "The sessions are ended.",
    "request-approved": "Approved: the access is open and ends by itself.",
    "request-denied": "Denied.",
    "request-made": "Asked. Whoever may decide it is told.",
    "request-withdrawn": "Taken back.",
    "alarm-seen": "Marked as seen.",
    "test-sent": "A test is on its way; the log below says what became of it.",
}

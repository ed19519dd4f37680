"""Every table, with the rules that must hold in it. Times are Unix seconds; ids are given by ``ids.new_id``."""

from .appliances import (
    Appliance,
    ApplianceEventRecord,
    ApplianceSample,
    Device,
    FirmwareBundle,
    FirmwareRollout,
    FirmwareTarget,
    Service,
    WaitingAppliance,
)
from .base import Base
from .domains import LOGIN_METHODS, Domain
from .grants import AccessRequest, Grant, GrantService
from .logins import ApiToken, Passkey, RecoveryCode, TotpFactor, WebSession
from .people import Claim, Group, GroupMember, RoleRecord, User, UserCertificate
from .records import Alarm, AuditCheckpoint, AuditCut, AuditEntry, Outgoing, PinAlarmRecord, Setting, Succession
from .relays import Relay
from .sessions import SessionRecord

__all__ = [
    "LOGIN_METHODS",
    "AccessRequest",
    "Alarm",
    "ApiToken",
    "Appliance",
    "ApplianceEventRecord",
    "ApplianceSample",
    "AuditCheckpoint",
    "AuditCut",
    "AuditEntry",
    "Base",
    "Claim",
    "Device",
    "Domain",
    "FirmwareBundle",
    "FirmwareRollout",
    "FirmwareTarget",
    "Grant",
    "GrantService",
    "Group",
    "GroupMember",
    "Outgoing",
    "Passkey",
    "PinAlarmRecord",
    "RecoveryCode",
    "Relay",
    "RoleRecord",
    "Service",
    "SessionRecord",
    "Setting",
    "Succession",
    "TotpFactor",
    "User",
    "UserCertificate",
    "WaitingAppliance",
    "WebSession",
]

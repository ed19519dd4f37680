"""The lab."""

from lab.exceptions import CommandFailed, LabError, LabInUse, MissingRights, TimedOut
from lab.firewalls import Firewall, Rules
from lab.lab import Lab
from lab.lines import Condition, Line
from lab.places import Completed, Place
from lab.processes import Process
from lab.waiting import wait_until

__all__ = [
    "CommandFailed",
    "Completed",
    "Condition",
    "Firewall",
    "Lab",
    "LabError",
    "LabInUse",
    "Line",
    "MissingRights",
    "Place",
    "Process",
    "Rules",
    "TimedOut",
    "wait_until",
]

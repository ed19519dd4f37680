"""Every error of the LinkManager that the library does not know.

GatelinkError (gatelink.exceptions)
├── ServiceError    the service with rights refused, broke off, or is not there
├── AgentError      nobody is logged in, or the agent does not answer
├── HostError       the operating system refused; raised by the adapters in ``host`` alone
└── InputError      (the library's)
    └── NoCode      there is no QR code in the picture

Texts are one line for people: what was seen, what was expected, what to do.
"""

from __future__ import annotations

from gatelink.exceptions import GatelinkError, InputError


class ServiceError(GatelinkError):
    """The service with rights refused, broke off, or is not there."""


class AgentError(GatelinkError):
    """Nobody is logged in, or the agent does not answer."""


class HostError(GatelinkError):
    """The operating system refused."""


class NoCode(InputError):
    """There is no QR code in the picture."""

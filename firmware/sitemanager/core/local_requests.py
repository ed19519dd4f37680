"""What may be asked of the daemon on the local socket: the link, the configuration, the lock, the page's login.

``core.local`` says how it travels; who may ask what is said where it is answered (``services.desk``). Further parts
have their requests in modules of their own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .local import LocalAnswer, LocalRequest

Password = Annotated[str, Meta(max_length=256)]


# The link


class StatusRequest(LocalRequest, frozen=True):
    """What the daemon does; answered with ``core.status.Status``."""


class LockChangedRequest(LocalRequest, frozen=True):
    """The lock's file was changed; answered with ``core.status.Status``."""


class LockRequest(LocalRequest, frozen=True):
    """Lock or allow remote access; ``minutes``: allow it for so long, then lock again."""

    locked: bool
    minutes: Annotated[int, Meta(ge=1, le=1440)] | None = None


class EnrolRequest(LocalRequest, frozen=True):
    """Make this unit known to a GateManager: by a claim, else by an address and trust on first use."""

    claim: Annotated[str, Meta(max_length=8192)] = ""
    address: Annotated[str, Meta(max_length=253)] = ""


class EnrolmentRequest(LocalRequest, frozen=True):
    """How the enrolment goes."""


class EnrolmentAnswer(LocalAnswer, frozen=True):
    """``phase`` of an enrolment; ``text`` says what was seen and what to do."""

    phase: Literal["none", "trying", "waiting", "enrolled", "failed"]
    text: str = ""
    address: str = ""
    pin_serial: str = ""
    """Of the GateManager that was met, to compare with what its administrator sees."""
    pin_key: str = ""
    pin_how: str = ""
    key: str = ""
    """Fingerprint of our own key: the administrator compares it before he adopts."""


class CancelEnrolmentRequest(LocalRequest, frozen=True):
    """Give an enrolment up, so that another one can be begun; only while the unit is not enrolled."""


class ForgetRequest(LocalRequest, frozen=True):
    """Forget the GateManager and who this unit is to it; the daemon begins anew."""


# The configuration


class ConfigRequest(LocalRequest, frozen=True):
    """The configuration in force."""


class ConfigAnswer(LocalAnswer, frozen=True):
    """Passwords are hidden, in ``values`` and in ``toml``."""

    values: dict[str, Any]
    toml: str


class TryConfigRequest(LocalRequest, frozen=True):
    """Try a change: ``values`` replace the keys that they name. It must be kept within 90 s, else it is undone."""

    values: dict[str, Any]


class TryTomlRequest(LocalRequest, frozen=True):
    """Try a whole configuration, as a backup has it."""

    toml: Annotated[str, Meta(max_length=64 * 1024)]


class TrialRequest(LocalRequest, frozen=True):
    """How the trial of a change goes."""


class KeepTrialRequest(LocalRequest, frozen=True):
    """Keep the change. Where the GateManager was reached before it, it has to be reached with it, or ``anyway``."""

    anyway: bool = False


class UndoTrialRequest(LocalRequest, frozen=True):
    """Go back at once."""


class TrialAnswer(LocalAnswer, frozen=True):
    """A change on trial, or what became of the last one."""

    state: Literal["none", "trying", "kept", "undone"]
    text: str = ""
    left_s: float = 0
    changes: tuple[str, ...] = ()
    needs_gm: bool = False
    """The GateManager was reached before the change, and is not yet with it."""
    ago_s: float | None = None
    """Since it was kept or undone."""


class PortsRequest(LocalRequest, frozen=True):
    """The unit's network ports."""


class PortView(msgspec.Struct, frozen=True):
    """One port: its IPv4 addresses with their prefixes; whether a cable is in; whether the way out leads by it."""

    name: str
    mac: str
    carrier: bool
    addresses: tuple[str, ...]
    default: bool


class PortsAnswer(LocalAnswer, frozen=True):
    """By name."""

    ports: tuple[PortView, ...]


# The page


class AboutRequest(LocalRequest, frozen=True):
    """What everybody who reaches the page may know."""


class AboutAnswer(LocalAnswer, frozen=True):
    """``is_new``: nobody has chosen a password yet, the secret of the label is asked for."""

    software: str
    name: str
    is_new: bool
    dev_interfaces: tuple[str, ...]


class PageCertificateRequest(LocalRequest, frozen=True):
    """Key and certificate for HTTPS on the page."""


class PageCertificateAnswer(LocalAnswer, frozen=True):
    """``pem`` holds both; ``fingerprint`` is the certificate's SHA-256, to compare with what a browser shows."""

    pem: str
    fingerprint: str


class LoginRequest(LocalRequest, frozen=True):
    """Log in on the page: with the password, or on a new unit with the secret of its label."""

    password: Password


class LoginAnswer(LocalAnswer, frozen=True):
    """``session`` for the cookie. While ``must_choose`` it is good for ``ChoosePasswordRequest`` alone."""

    session: str
    must_choose: bool


class ChoosePasswordRequest(LocalRequest, frozen=True):
    """Choose an own password; every other session on the page ends."""

    current: Password
    password: Password


class LogoutRequest(LocalRequest, frozen=True):
    """End the session."""


class VisitRequest(LocalRequest, frozen=True):
    """Whether the session is good, and for what."""


class VisitAnswer(LocalAnswer, frozen=True):
    """``must_choose``: for choosing a password alone."""

    logged_in: bool
    must_choose: bool


class SecretRequest(LocalRequest, frozen=True):
    """Forget the chosen password: the secret of the label is good again."""


# The unit


class LogRequest(LocalRequest, frozen=True):
    """The last lines of the log, those after number ``after``."""

    after: Annotated[int, Meta(ge=0)] = 0


class LogLine(msgspec.Struct, frozen=True):
    """One line; ``at`` is Unix time as far as it was known."""

    number: int
    at: float
    text: str


class LogAnswer(LocalAnswer, frozen=True):
    """Oldest first."""

    lines: tuple[LogLine, ...]


class RestartRequest(LocalRequest, frozen=True):
    """End the daemon, to be started again by its supervisor; or restart the whole unit."""

    whole_unit: bool = False

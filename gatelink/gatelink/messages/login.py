"""The second factor of a login, the same for LMs with a certificate and without one."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from .shapes import Message, Seconds, Text

FactorKind: TypeAlias = Literal["sms", "totp", "recovery"]


class LoginChallenge(Message, frozen=True):
    """The login is good so far; a second factor is asked for. Followed by LoginAnswer or LoginResend."""

    kinds: Annotated[tuple[FactorKind, ...], Meta(min_length=1, max_length=4)]
    """Any of them will do."""
    text: Text
    """For the person: where the code was sent, or why it could not be."""
    expires_s: Seconds
    resend_after_s: Seconds
    tries_left: Annotated[int, Meta(ge=0, le=100)]


class LoginAnswer(Message, frozen=True):
    """The code that the person typed. A wrong one is answered with another LoginChallenge, the last with Refusal."""

    kind: FactorKind
    code: Annotated[str, Meta(min_length=1, max_length=64)]


class LoginResend(Message, frozen=True):
    """Asks for another SMS; answered with another LoginChallenge."""

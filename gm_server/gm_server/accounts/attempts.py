"""A login between the password and its end, and how many there can be. No I/O: time and random codes come in.

    password and certificate good -> no second factor asked: done
                                  -> asked: a code is right: done
                                            five were wrong, or ten minutes are over: over

A code that was sent counts for five minutes, in the attempt that it was sent for and in no other. A message that is
sent again holds a new code, and only the newest counts.
"""

from __future__ import annotations

import hmac
from typing import Final, Literal

import msgspec

from .methods import Method, needs_second_factor

FactorKind = Literal["sms", "totp", "passkey", "recovery"]
CODE_DIGITS: Final = 6
CODE_S: Final = 300.0
TRIES: Final = 5
ATTEMPT_S: Final = 600.0
RESEND_AFTER_S: Final = 30.0
SENDS_PER_ATTEMPT: Final = 4
MAX_ATTEMPTS: Final = 1024
MAX_PER_USER: Final = 8


class Person(msgspec.Struct, frozen=True):
    """What a login is checked against."""

    user_id: str
    name: str
    domain: str
    password_hash: str | None
    is_good: bool
    """He is not disabled."""
    method: Method
    phone: str = ""
    language: str = ""
    own_factors: frozenset[FactorKind] = frozenset()
    """What he has set up: ``totp``, ``passkey``, ``recovery``."""


class Attempt:
    """One login of which the password (and the certificate, where one is asked for) was right."""

    def __init__(
        self,
        person: Person,
        kinds: tuple[FactorKind, ...],
        certificate_sha256: bytes | None,
        address: str,
        throttle_key: str,
        now: float,
    ) -> None:
        self.person = person
        self.kinds = kinds
        """Any of them will do; empty: no second factor is asked for."""
        self.certificate_sha256 = certificate_sha256
        self.address = address
        self.throttle_key = throttle_key
        self.ends_at = now + ATTEMPT_S
        self.tries_left = TRIES
        self.proved: FactorKind | None = None
        self.text = ""
        """For the person: where the code was sent, or why it could not be."""
        self.sends = 0
        self.resend_at = now
        self.passkey_challenge = b""
        self.resumed = b""
        """The word by which a second factor was proved at an earlier login."""
        self._code = ""
        self._code_ends_at = 0.0

    @property
    def is_done(self) -> bool:
        """Whether everything that is asked for was proved."""
        return not self.kinds or self.proved is not None

    def is_over(self, now: float) -> bool:
        """Whether nothing can come of it any more."""
        return now >= self.ends_at or (self.tries_left <= 0 and not self.is_done)

    def may_send(self, now: float) -> bool:
        """Whether (another) text message may be sent."""
        return "sms" in self.kinds and self.sends < SENDS_PER_ATTEMPT and now >= self.resend_at

    def sends_code(self, code: str, now: float) -> None:
        """A message with this code is on its way; codes of earlier ones count no more."""
        self._code, self._code_ends_at = code, now + CODE_S
        self.sends += 1
        self.resend_at = now + RESEND_AFTER_S * self.sends

    def expires_s(self, now: float) -> float:
        """Return how long an answer can still be right."""
        ends_at = min(self.ends_at, self._code_ends_at) if self.kinds == ("sms",) and self._code else self.ends_at
        return max(1.0, ends_at - now)

    def resend_after_s(self, now: float) -> float:
        """Return when another message may be asked for; the end of the attempt when no more is sent."""
        if self.sends >= SENDS_PER_ATTEMPT:
            return self.expires_s(now)
        return max(0.0, self.resend_at - now)

    def count_try(self) -> None:
        """A code is about to be looked at: it counts as wrong until ``succeed``."""
        self.tries_left -= 1

    def is_sent_code(self, code: str, now: float) -> bool:
        """Say whether this is the code of the newest message, once."""
        right = bool(self._code) and now < self._code_ends_at
        right = hmac.compare_digest(self._code.encode(), code.strip().encode()) and right
        if right:
            self._code = ""
        return right

    def succeed(self, kind: FactorKind) -> None:
        """The second factor is proved."""
        self.proved = kind


class Attempts:
    """The attempts that wait for their second factor, by a key that the caller has chosen."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, Attempt] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, key: bytes, attempt: Attempt, now: float) -> None:
        """Keep an attempt; the user's oldest, or the oldest of all, makes room."""
        self._waiting = {other: kept for other, kept in self._waiting.items() if not kept.is_over(now)}
        same = [other for other, kept in self._waiting.items() if kept.person.user_id == attempt.person.user_id]
        if len(same) >= MAX_PER_USER:
            del self._waiting[same[0]]
        elif len(self._waiting) >= MAX_ATTEMPTS:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[key] = attempt

    def get(self, key: bytes, now: float) -> Attempt | None:
        """Return an attempt of which something can still come."""
        attempt = self._waiting.get(key)
        return None if attempt is None or attempt.is_over(now) else attempt

    def move(self, old: bytes, new: bytes) -> None:
        """Know an attempt by another key from now on."""
        if old in self._waiting:
            self._waiting[new] = self._waiting.pop(old)

    def remove(self, key: bytes) -> None:
        """Forget an attempt."""
        self._waiting.pop(key, None)


class SendingLimits:
    """How many text messages a user can be sent: nobody runs up a bill with somebody else's password."""

    PER_QUARTER: Final = 6
    PER_DAY: Final = 30
    _QUARTER_S: Final = 900.0
    _DAY_S: Final = 86400.0
    _MAX_USERS: Final = 4096

    def __init__(self) -> None:
        self._sent: dict[str, list[float]] = {}

    def may_send(self, user_id: str, now: float) -> bool:
        """Whether one more may be sent now."""
        sent = self._sent.get(user_id, [])
        lately = sum(1 for at in sent if now - at < self._QUARTER_S)
        return lately < self.PER_QUARTER and sum(1 for at in sent if now - at < self._DAY_S) < self.PER_DAY

    def sent(self, user_id: str, now: float) -> None:
        """One more was sent."""
        kept = [at for at in self._sent.pop(user_id, []) if now - at < self._DAY_S]
        if len(self._sent) >= self._MAX_USERS:
            self._sent.pop(next(iter(self._sent)))
        self._sent[user_id] = [*kept, now]


def kinds_asked(person: Person, *, in_browser: bool) -> tuple[FactorKind, ...] | None:
    """Return the second factors of which one is asked for (none: empty); None: one is needed and there is none.

    Passkeys are for browsers. A text message is no way around an app where the method does not name it.
    """
    own: tuple[FactorKind, ...] = ("passkey", "totp") if in_browser else ("totp",)
    kinds = tuple(kind for kind in own if kind in person.own_factors)
    needed = needs_second_factor(person.method)
    if needed and person.phone:
        kinds += ("sms",)
    if not kinds and not needed:
        return ()
    if "recovery" in person.own_factors:
        kinds += ("recovery",)
    return kinds or None

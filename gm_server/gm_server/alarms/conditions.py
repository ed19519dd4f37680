"""Decides what is wrong at a moment. No I/O: time comes in as ``now``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

HALTED_S: Final = 30 * 86400.0


class ApplianceFact(msgspec.Struct, frozen=True):
    """An active appliance that is not connected."""

    appliance_id: str
    path: str
    last_seen_at: float
    patience_minutes: int
    """0: its absence is no alarm."""


class FailedLogins(msgspec.Struct, frozen=True):
    """Failed logins to an account, or from an address, within the time that is looked at."""

    subject_id: str
    subject: str
    domain: str
    count: int
    last_at: float


class CertificateFact(msgspec.Struct, frozen=True):
    """A certificate and its end."""

    subject_id: str
    subject: str
    domain: str
    ends_at: float


class RolloutFact(msgspec.Struct, frozen=True):
    """A roll-out of firmware that stopped by itself and was not resumed."""

    rollout_id: str
    version: str
    domain: str
    reason: str
    stopped_at: float


class Condition(msgspec.Struct, frozen=True):
    """Something is wrong. ``kind`` and ``subject_id`` tell one from another."""

    kind: str
    subject_id: str
    subject: str
    domain: str
    text: str
    since: float


def offline(appliances: Sequence[ApplianceFact], now: float, running_since: float) -> list[Condition]:
    """Return who is away for too long. The time in which this server did not run counts against nobody."""
    found = []
    for fact in appliances:
        away_since = max(fact.last_seen_at, running_since)
        if fact.patience_minutes and now - away_since >= fact.patience_minutes * 60:
            text = f"{fact.path} is offline for more than {fact.patience_minutes} minutes"
            domain = fact.path.rpartition("/")[0]
            found.append(Condition("offline", fact.appliance_id, fact.path, domain, text, fact.last_seen_at))
    return found


def guessed(logins: Sequence[FailedLogins], allowed: int) -> list[Condition]:
    """Return whose password somebody may be guessing."""
    return [
        Condition(
            "failed-logins",
            fact.subject_id,
            fact.subject,
            fact.domain,
            f"{fact.count} logins failed: {fact.subject}",
            fact.last_at,
        )
        for fact in logins
        if allowed and fact.count >= allowed
    ]


def halted(rollouts: Sequence[RolloutFact], now: float) -> list[Condition]:
    """Return which roll-outs wait for somebody; one that nobody wants any more is no alarm for ever."""
    return [
        Condition(
            "firmware",
            fact.rollout_id,
            fact.version,
            fact.domain,
            f"the roll-out of firmware {fact.version} in {fact.domain} {fact.reason}",
            fact.stopped_at,
        )
        for fact in rollouts
        if now - fact.stopped_at < HALTED_S
    ]


def expiring(certificates: Sequence[CertificateFact], days: int, now: float) -> list[Condition]:
    """Return which certificates end soon."""
    found = []
    for fact in certificates:
        left_s = fact.ends_at - now
        if days and left_s < days * 86400:
            when = f"ends in {left_s / 86400:.0f} days" if left_s > 0 else "is over"
            text = f"the certificate of {fact.subject} {when}"
            since = fact.ends_at - days * 86400
            found.append(Condition("certificate", fact.subject_id, fact.subject, fact.domain, text, since))
    return found

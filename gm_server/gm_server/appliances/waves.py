"""What is next in a roll-out: decided from where every appliance is, nothing else. No I/O.

A wave is up to ``wave_size`` appliances that are online. The next one begins when nobody of the wave before keeps it
from beginning any more: everybody is done, or has been busy with a session, offline or slow for ``HOLD_S`` (he goes on
meanwhile, his result still counts). Who is offline gets his turn when he comes.

    pending -> offered -> waiting, fetching -> installing -> restarting -> good
                       '-> refused                      '-> failed, fell-back

Who said that he installs or restarts, and then nothing for ``LOST_S``, did not come back: that is a failure, the very
one that waves are for. So is who is online and says nothing to an offer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from gatelink.messages.appliance import FirmwareState

TargetState: TypeAlias = Literal["pending", "offered"] | FirmwareState
HOLD_S: Final = 3600.0
LOST_S: Final = 3600.0
FAILED: Final = frozenset({"refused", "failed", "fell-back"})
DONE: Final = FAILED | {"good"}
FETCHING: Final = frozenset({"offered", "fetching"})
"""Who may be fetching at this moment."""
_TOUCHED: Final = frozenset({"installing", "restarting"})


class Target(msgspec.Struct, frozen=True):
    """Where an appliance is."""

    appliance_id: str
    state: str
    changed_at: float

    @property
    def is_under_way(self) -> bool:
        """Whether it has an offer and no result."""
        return self.state != "pending" and self.state not in DONE


class Step(msgspec.Struct, frozen=True):
    """What is to be done now."""

    offer: tuple[str, ...] = ()
    """Appliances that get the offer."""
    lost: tuple[str, ...] = ()
    """Those that did not come back, or do not answer."""
    end: Literal["", "finished", "stopped"] = ""
    failures: int = 0

    def __bool__(self) -> bool:
        return bool(self.offer or self.lost or self.end)


def next_step(
    targets: Sequence[Target], wave_size: int, stop_after: int, online: Collection[str], now: float, room: int
) -> Step:
    """Return what is next; ``targets`` in their order, ``room``: how many more may be fetching on the whole server."""
    lost = tuple(target.appliance_id for target in targets if _is_lost(target, online, now))
    failures = len(lost) + sum(target.state in FAILED for target in targets)
    rest = [target for target in targets if target.state not in DONE and target.appliance_id not in lost]
    if not rest:
        return Step(lost=lost, end="finished", failures=failures)
    if failures >= stop_after:
        return Step(lost=lost, end="stopped", failures=failures)
    if any(target.is_under_way and now - target.changed_at < HOLD_S for target in rest):
        return Step(lost=lost, failures=failures)
    ready = [target.appliance_id for target in rest if target.state == "pending" and target.appliance_id in online]
    return Step(offer=tuple(ready[: max(0, min(wave_size, room))]), lost=lost, failures=failures)


def _is_lost(target: Target, online: Collection[str], now: float) -> bool:
    if now - target.changed_at < LOST_S:
        return False
    return target.state in _TOUCHED or (target.state == "offered" and target.appliance_id in online)

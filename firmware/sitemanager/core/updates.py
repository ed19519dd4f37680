"""An update of the whole system: what is known of it, and what is right after a restart of daemon or unit. No I/O.

fetching: the bundle comes from the GateManager, or by the set-up page.  waiting: it is here, somebody is connected.
installing: RAUC checks it and writes the slot that does not run.  restarting: it is written; the unit starts into it
and the guard tries it.  good, refused, failed, fell-back: over.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from gatelink.messages.appliance import FirmwareState

MIB: Final = 1024 * 1024
MAX_BUNDLE_BYTES: Final = 512 * MIB
OVER: Final[frozenset[FirmwareState]] = frozenset({"good", "refused", "failed", "fell-back"})
MAX_TEXT: Final = 400
NO_SLOTS: Final = "this unit has no update slots: it is updated like any program of its system"


class System(msgspec.Struct, frozen=True):
    """What the guard says of the system that runs. ``trial``: it is new and not good yet."""

    slot: str
    version: str
    trial: bool = False
    board: str = ""
    """What a bundle has to be for; RAUC calls it compatible."""
    fell_back: str = ""
    """Why the system that was to run does not; empty where nothing fell back."""


class Installation(msgspec.Struct, frozen=True):
    """What the last installation since the unit's start came to; ``update_id`` is empty where there was none."""

    update_id: str = ""
    state: Literal["installing", "installed", "refused", ""] = ""
    percent: int = 0
    reason: str = ""


class Update(msgspec.Struct, frozen=True):
    """One update. ``bundle_id`` and ``sha256`` are the GateManager's; a bundle from the page has neither."""

    update_id: str
    source: Literal["gm", "page"]
    size_bytes: int
    state: FirmwareState = "fetching"
    bundle_id: str = ""
    version: str = ""
    sha256: bytes = b""
    allow_older: bool = False
    during_sessions: bool = False
    percent: int = 0
    text: str = ""
    from_slot: str = ""
    """The slot that ran when the installation began."""
    fetched_twice: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in OVER

    def now(self, state: FirmwareState, text: str = "", percent: int = 0) -> Update:
        """Return it in another state."""
        return msgspec.structs.replace(self, state=state, text=text[:MAX_TEXT], percent=percent)


def resumed(update: Update, system: System, installation: Installation) -> Update:
    """Return where an update goes on that an earlier run of the daemon left: the unit may have restarted meanwhile."""
    if update.state not in ("installing", "restarting"):
        if update.state == "fetching" and update.source == "page":
            return update.now("failed", "the upload was interrupted; begin it again")
        return update
    if system.slot != update.from_slot:
        return tried(update, system)
    if installation.update_id == update.update_id:
        return update
    # Nothing is known of an installation since the unit's start.
    if system.fell_back:
        return update.now("fell-back", f"the new system did not hold ({system.fell_back}); the one before runs again")
    if update.state == "restarting":
        return update.now("failed", "the new system was installed, and the unit started with the one before")
    return update.now("waiting", "the installation was interrupted and begins again")


def tried(update: Update, system: System) -> Update:
    """Return an update whose new system runs: on trial until the guard calls it good."""
    if system.trial:
        return update.now("restarting", f"version {system.version} runs and is being tried", 100)
    return update.now("good", f"version {system.version} runs", 100)


def is_older(version: str, than: str) -> bool:
    """Return whether a version (numbers with dots between, then anything) is older than another, as the guard does."""
    return _numbers(version) < _numbers(than)


def objection(version: str, system: System, *, allow_older: bool) -> str:
    """Return why a version is not to be installed; empty if it may."""
    if is_older(version, system.version) and not allow_older:
        return f"version {version} is older than {system.version}, which runs; older ones have to be allowed"
    return ""


def _numbers(version: str) -> list[int]:
    found = []
    for word in version.split("-")[0].split("+")[0].split("."):
        digits = ""
        for letter in word:
            if not ("0" <= letter <= "9"):
                break
            digits += letter
        found.append(int(digits[:18]) if digits else 0)
    while found and not found[-1]:
        found.pop()
    return found

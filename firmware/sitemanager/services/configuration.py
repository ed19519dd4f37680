"""The configuration in force, and a change of it on trial.

A change is put in force but written nowhere: it is written when it is kept. So whatever happens in between, a browser
that finds nobody any more, a page or a daemon that dies, a pulled plug, the configuration from before is what is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gatelink.exceptions import GatelinkError, InputError
from sitemanager.config import HIDDEN, Config, checked, to_toml, values_in, with_hidden
from sitemanager.core.local_requests import TrialAnswer
from sitemanager.host import config_store
from sitemanager.host.state import State

if TYPE_CHECKING:
    from .parts import Part

TRIAL_S: Final = 90.0


class Configuration:
    """Owner of ``config``. ``connected_since`` says since when (loop time) the GateManager is reached, or None."""

    def __init__(
        self,
        state: State,
        report: Callable[[str], None],
        connected_since: Callable[[], float | None],
        trial_s: float = TRIAL_S,
    ) -> None:
        loaded = config_store.load_or_restore(state.directory)
        self._directory = state.directory
        self._report = report
        self._connected_since = connected_since
        self._trial_s = trial_s
        self._users: Sequence[Part] = ()
        self._trial: _Trial | None = None
        self._last = TrialAnswer(state="none")
        self._ended: float | None = None
        self._turn = asyncio.Lock()
        self.config: Config = loaded.config
        self.notes = loaded.notes
        """What was wrong with the files at the start."""
        for note in loaded.notes:
            report(note)

    async def begin(self, users: Sequence[Part]) -> None:
        """Put the configuration in force for every part. What one of them cannot do is reported: the rest runs."""
        self._users = users
        for user in users:
            try:
                await user.use(self.config)
            except GatelinkError as error:
                self._report(str(error))

    async def try_values(self, values: dict[str, Any]) -> TrialAnswer:
        """Try a change of some keys. Raises ConfigError, NetworkError; then nothing is changed."""
        present: dict[str, Any] = msgspec.to_builtins(self._stored())
        return await self._try(checked({**present, **with_hidden(values, self.config)}, "configuration"))

    async def try_toml(self, text: str) -> TrialAnswer:
        """Try a whole configuration; an enrolled unit keeps its way to the GateManager if the text names none."""
        values = with_hidden(values_in(text.encode(), "backup"), self.config)
        if not values.get("gm_addresses"):
            values["gm_addresses"] = list(self.config.gm_addresses)
        return await self._try(checked(values, "backup"))

    async def adopt(self, values: dict[str, Any]) -> None:
        """Change keys for good, with no trial: where nobody sits who could keep it. Raises ConfigError, StateError."""
        async with self._turn:
            if self._trial is not None:
                raise InputError("a change is on trial; keep or undo it first")
            present: dict[str, Any] = msgspec.to_builtins(self.config)
            before, config = self.config, checked({**present, **values}, "configuration")
            try:
                await self._use(config)
            except GatelinkError:
                await self._use(before)
                raise
            config_store.save(self._directory, config)

    async def learn_addresses(self) -> None:
        """An enrolment wrote where the GateManager is: use that, in a change on trial as well. Raises StateError."""
        addresses = config_store.load(self._directory).gm_addresses
        self.config = msgspec.structs.replace(self.config, gm_addresses=addresses)
        if self._trial is not None:
            self._trial.config = msgspec.structs.replace(self._trial.config, gm_addresses=addresses)
            self._trial.before = msgspec.structs.replace(self._trial.before, gm_addresses=addresses)
        await self.begin(self._users)

    async def keep(self, *, anyway: bool) -> TrialAnswer:
        """Keep the change on trial. Raises InputError if there is none, or if the GateManager stays away with it."""
        async with self._turn:
            trial = self._trial
            if trial is None:
                raise InputError("there is no change on trial any more: it was undone")
            if self._needs_gm(trial) and not anyway:
                raise InputError("the GateManager was reached before this change and is not with it; wait, or undo it")
            config_store.save(self._directory, trial.config)
            self._end_trial("kept", "the change is kept")
            return self._last

    async def undo(self, why: str) -> TrialAnswer:
        """Go back to the configuration from before the trial."""
        async with self._turn:
            trial = self._trial
            if trial is None:
                return self._last
            self._end_trial("undone", f"the change was undone: {why}")
            await self._use(trial.before)
            return self._last

    def trial(self) -> TrialAnswer:
        """Return how the trial goes, or how the last one ended."""
        trial = self._trial
        if trial is None:
            ago_s = None if self._ended is None else asyncio.get_running_loop().time() - self._ended
            return msgspec.structs.replace(self._last, ago_s=ago_s)
        return TrialAnswer(
            state="trying",
            left_s=max(0.0, trial.timer.when() - asyncio.get_running_loop().time()),
            changes=trial.changes,
            needs_gm=self._needs_gm(trial),
        )

    async def close(self) -> None:
        """End a trial: its change was never written."""
        if self._trial is not None:
            self._end_trial("undone", "the change was undone: the SiteManager was stopped before it was kept")

    async def _try(self, config: Config) -> TrialAnswer:
        async with self._turn:
            if self._trial is not None:
                raise InputError("another change is on trial; keep or undo it first")
            before = self.config
            changes = _changes(before, config)
            if not changes:
                return TrialAnswer(state="none", text="nothing is changed by this")
            loop = asyncio.get_running_loop()
            was_connected = self._connected_since() is not None
            try:
                await self._use(config)
            except GatelinkError:
                await self._use(before)
                raise
            timer = loop.call_later(self._trial_s, self._time_is_over)
            self._trial = _Trial(config, before, changes, timer, was_connected, loop.time())
            self._report(f"a change is on trial for {self._trial_s:.0f} s: {'; '.join(changes)}")
            return self.trial()

    def _stored(self) -> Config:
        """What is written, where a command or a person changed it meanwhile: it must not be lost by a change here."""
        try:
            return config_store.load(self._directory)
        except GatelinkError:
            return self.config

    def _needs_gm(self, trial: _Trial) -> bool:
        since = self._connected_since()
        return trial.was_connected and since is None

    def _time_is_over(self) -> None:
        why = f"nobody kept it within {self._trial_s:.0f} s"
        self._undoing = asyncio.ensure_future(self.undo(why))

    def _end_trial(self, state: Any, text: str) -> None:
        if self._trial is not None:
            self._trial.timer.cancel()
            self._last = TrialAnswer(state=state, text=text, changes=self._trial.changes)
            self._trial = None
            self._ended = asyncio.get_running_loop().time()
            self._report(text)

    async def _use(self, config: Config) -> None:
        self.config = config
        for user in self._users:
            await user.use(config)


class _Trial(msgspec.Struct):
    config: Config
    before: Config
    changes: tuple[str, ...]
    timer: asyncio.TimerHandle
    was_connected: bool
    since: float


def _changes(before: Config, after: Config) -> tuple[str, ...]:
    """The rows that differ, for people; nothing secret."""
    rows = [set(to_toml(config, hide_passwords=True).splitlines()) for config in (before, after)]
    changed = [row for row in to_toml(after, hide_passwords=True).splitlines() if row and row not in rows[0]]
    # What a new entry does not have is no news.
    changed = [row for row in changed if not row.endswith((' = ""', " = []"))] or changed
    gone = [row for row in to_toml(before, hide_passwords=True).splitlines() if row and row not in rows[1]]
    names = {row.split(" = ")[0] for row in changed}
    lines = [*changed, *(f"without {row}" for row in gone if row.split(" = ")[0] not in names)]
    if not lines and before != after:
        is_order = to_toml(before, hide_passwords=True) != to_toml(after, hide_passwords=True)
        lines = ["the order of entries" if is_order else f"a password (shown as {HIDDEN})"]
    return tuple(lines[:20])

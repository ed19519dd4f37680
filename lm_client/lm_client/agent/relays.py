"""Permanent relays: which the GateManager says, where in this host's network only this host's own settings say.

For each appliance that has relays there is one session, opened again for ever; what it carries follows its rights. The
GateManager hears how every relay is, when that changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
from typing import Final

from gatelink.backoff import Backoff
from gatelink.exceptions import GatelinkError, LinkError, Refused
from gatelink.messages import (
    DeviceAccess,
    Done,
    RelayCondition,
    RelayDuty,
    Relays,
    RelayState,
    RelayStates,
    WatchRelays,
)
from lm_client.config import RelaySettings
from lm_client.core.local import RelayView
from lm_client.journal import Journal

from .gatemanager import GateManager
from .relay_end import Counts, Networks, RelayEnd, Way
from .relay_sockets import BindToInterface, bind_to_interface
from .session import Session
from .sessions import Sessions

BEAT_S: Final = 0.5
REPORT_S: Final = 2.0
_AGAIN_FIRST_S: Final = 0.5
_AGAIN_LONGEST_S: Final = 30.0
_MAX_TEXT_CHARACTERS: Final = 512


class RelayKeeper:
    """Does nothing unless the settings turn relays on."""

    def __init__(
        self,
        sessions: Sessions,
        settings: RelaySettings,
        journal: Journal,
        bind: BindToInterface = bind_to_interface,
    ) -> None:
        self.settings = settings
        self.bind = bind
        self._sessions = sessions
        self._journal = journal
        self._gm: GateManager | None = None
        self._branches: dict[str, Branch] = {}
        """By appliance."""
        self._counts: dict[str, Counts] = {}
        self._beating: asyncio.Task[None] | None = None
        self._told: tuple[RelayState, ...] = ()

    @property
    def views(self) -> tuple[RelayView, ...]:
        """How all are."""
        return tuple(
            RelayView(
                name=duty.name,
                direction=duty.direction,
                appliance=duty.appliance,
                device=duty.device,
                port=duty.port,
                condition=state.condition,
                text=state.text,
                connections=state.connections,
                bytes_to_device=state.bytes_to_device,
                bytes_from_device=state.bytes_from_device,
            )
            for branch in self._branches.values()
            for duty, state in branch.states()
        )

    async def watch(self, gm: GateManager) -> None:
        """Tell the GateManager that relays are carried here, after each login."""
        if not self.settings.enabled:
            return
        self._gm, self._told = gm, ()
        if self._beating is None:
            self._beating = asyncio.ensure_future(self._beat())
        try:
            await gm.request(lambda number: WatchRelays(request_id=number), Done)
        except Refused as error:
            self._journal.note(f"relays: this GateManager gives none: {error}")
        except GatelinkError:
            pass  # the connection was lost: after the next login it is said again

    def told(self, message: Relays) -> None:
        """Carry exactly these."""
        if not self.settings.enabled:
            return
        wanted: dict[str, list[RelayDuty]] = {}
        for duty in message.relays:
            wanted.setdefault(duty.appliance_id, []).append(duty)
        kept = {duty.relay_id for duty in message.relays}
        self._counts = {relay_id: counts for relay_id, counts in self._counts.items() if relay_id in kept}
        for appliance_id, branch in list(self._branches.items()):
            if appliance_id not in wanted:
                branch.duties = ()
                branch.wake()
        for appliance_id, duties in wanted.items():
            for duty in duties:
                self._counts.setdefault(duty.relay_id, Counts())
            before = self._branches.get(appliance_id)
            if before is None or before.is_over:
                self._branches[appliance_id] = Branch(self, appliance_id, tuple(duties))
            else:
                before.duties = tuple(duties)
                before.wake()
        self._journal.note(f"relays: {', '.join(duty.name for duty in message.relays) or 'none'}")

    def look(self) -> None:
        """Something about appliances changed: who waits need wait no longer."""
        for branch in self._branches.values():
            branch.wake()

    async def close(self) -> None:
        """Carry nothing any more."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        for branch in self._branches.values():
            await branch.close()

    def counts(self, relay_id: str) -> Counts:
        """Return the figures of a relay."""
        return self._counts.setdefault(relay_id, Counts())

    async def open(self, appliance_id: str, name: str) -> Session:
        """Open the session for the relays of an appliance. Raises GatelinkError."""
        return await self._sessions.open_for_relays(appliance_id, name)

    def note(self, text: str) -> None:
        """Write it down."""
        self._journal.note(f"relays: {text}")

    async def _beat(self) -> None:
        silent_s = REPORT_S
        while True:
            for branch in list(self._branches.values()):
                await branch.follow()
            self._branches = {key: branch for key, branch in self._branches.items() if not branch.is_over}
            states = tuple(state for branch in self._branches.values() for _, state in branch.states())
            if states != self._told and silent_s >= REPORT_S and self._gm is not None and self._gm.way is not None:
                self._gm.tell(RelayStates(states=states))
                self._told, silent_s = states, 0.0
            await asyncio.sleep(BEAT_S)
            silent_s += BEAT_S


class Branch:
    """The relays with one appliance: lives while it has any."""

    def __init__(self, keeper: RelayKeeper, appliance_id: str, duties: tuple[RelayDuty, ...]) -> None:
        self.duties = duties
        self._keeper = keeper
        self._appliance_id = appliance_id
        self._session: Session | None = None
        self._ends: dict[str, RelayEnd] = {}
        self._troubles: dict[str, str] = {}
        self._trouble = ""
        self._woken = asyncio.Event()
        self._following = asyncio.Lock()
        self._running = asyncio.ensure_future(self._run())

    @property
    def is_over(self) -> bool:
        """Whether it has ended: there is nothing to carry."""
        return self._running.done()

    def wake(self) -> None:
        """Try, or look, at once."""
        self._woken.set()

    async def close(self) -> None:
        """End all at once."""
        self._running.cancel()
        await asyncio.wait({self._running})

    def states(self) -> list[tuple[RelayDuty, RelayState]]:
        """Return how each relay is."""
        return [(duty, self._state(duty)) for duty in self.duties]

    async def follow(self) -> None:
        """Have a listener for exactly what the session's rights allow now."""
        async with self._following:
            session = self._session
            wanted: dict[str, tuple[Way, Networks]] = {}
            self._troubles = {}
            for duty in self.duties:
                if session is None or session.state not in ("up", "reconnecting"):
                    break
                try:
                    wanted[duty.relay_id] = _way(duty, session, self._keeper.settings)
                except LinkError as error:
                    self._troubles[duty.relay_id] = str(error)
            for relay_id, end in list(self._ends.items()):
                if relay_id not in wanted or wanted[relay_id][0] != end.way:
                    del self._ends[relay_id]
                    await end.close()
            for relay_id, (way, sources) in wanted.items():
                if relay_id not in self._ends:
                    most = self._keeper.settings.max_connections
                    end = RelayEnd(way, sources, most, self._keeper.counts(relay_id), self._keeper.bind)
                    try:
                        end.start()
                    except LinkError as error:
                        self._troubles[relay_id] = str(error)
                    else:
                        self._ends[relay_id] = end

    async def _run(self) -> None:
        backoff = Backoff(random.uniform, _AGAIN_FIRST_S, _AGAIN_LONGEST_S)
        try:
            while self.duties:
                if await self._carry():
                    backoff = Backoff(random.uniform, _AGAIN_FIRST_S, _AGAIN_LONGEST_S)
                if self.duties:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(backoff.next_delay_s()):
                            await self._woken.wait()
                    self._woken.clear()
        finally:
            await self._let_go("the agent ended")

    async def _carry(self) -> bool:
        """Have a session until it ends, or until there is nothing to carry; False if there was none."""
        name = self.duties[0].appliance
        try:
            self._session = await self._keeper.open(self._appliance_id, name.rpartition("/")[2])
        except GatelinkError as error:
            if str(error) != self._trouble:
                self._keeper.note(f"{name}: {error}")
            self._trouble = str(error)
            return False
        self._trouble = ""
        session = self._session
        await self.follow()
        while self.duties and not session.gone.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await session.gone.wait()
        self._trouble = session.view().detail
        await self._let_go("no relay is left")
        return True

    async def _let_go(self, reason: str) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.finish(reason)
        await self.follow()

    def _state(self, duty: RelayDuty) -> RelayState:
        counts, session = self._keeper.counts(duty.relay_id), self._session
        condition: RelayCondition = "connecting"
        text = self._trouble
        if session is not None and session.state == "reconnecting":
            condition, text = "reconnecting", session.view().detail
        elif duty.relay_id in self._troubles:
            condition, text = "failed", self._troubles[duty.relay_id]
        elif duty.relay_id in self._ends:
            condition, text = "listening", counts.trouble or str(self._ends[duty.relay_id].way)
        elif text:
            condition = "failed"
        pull = duty.direction == "pull"
        return RelayState(
            relay_id=duty.relay_id,
            condition=condition,
            text=text[:_MAX_TEXT_CHARACTERS],
            connections=counts.open,
            opened=counts.opened,
            refused=counts.refused,
            bytes_to_device=counts.bytes_in if pull else counts.bytes_out,
            bytes_from_device=counts.bytes_out if pull else counts.bytes_in,
        )


def _way(duty: RelayDuty, session: Session, settings: RelaySettings) -> tuple[Way, Networks]:
    """Return from where to where a relay leads in a session, and who may connect. Raises LinkError."""
    device = next((each for each in session.devices if each.device_id == duty.device_id), None)
    if device is None or not _is_open(duty, device):
        raise LinkError("no grant opens this now")
    interface, (pc, gateway) = session.wiring.interface, session.wiring.ends
    own = settings.of(duty.name)
    if duty.direction == "pull":
        choice = session.wiring.choices.get(duty.device_id)
        if choice is None or not choice.address:
            raise LinkError(f"no address leads to the device: {choice.why if choice else 'it is not routed'}")
        listen, sources = own.listen or settings.listen, own.sources or settings.sources
        return Way(listen, duty.port, "", choice.address, duty.target_port, interface), settings.networks(sources)
    if not own.server:
        raise LinkError(f'no server here: set [relays.named."{duty.name}"] server = "host:port" in config.toml')
    host, _, port = own.server.rpartition(":")
    way = Way(pc, duty.target_port, interface, host.strip("[]"), int(port), "")
    return way, (ipaddress.ip_network(gateway),)


def _is_open(duty: RelayDuty, device: DeviceAccess) -> bool:
    if duty.direction == "push":
        return any(push.relay_id == duty.relay_id and push.pc_port == duty.target_port for push in device.pushes)
    return any(
        ports.protocol == "tcp" and ports.first_port <= duty.target_port <= ports.last_port for ports in device.services
    )

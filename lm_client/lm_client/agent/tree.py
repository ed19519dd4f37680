"""What the user may see, as the GateManager said last, kept fresh while it tells of changes; and what he asked for."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from gatelink.exceptions import GatelinkError
from gatelink.messages import AccessDecided, AccessRequested, ApplianceView, Done, RequestAccess, WatchTree
from lm_client.core.local import AccessView, Appliances, AskForAccess
from lm_client.journal import Journal

from .addresses import AddressBook
from .gatemanager import GateManager
from .views import appliance_view

MAX_REQUESTS: Final = 64
_SETTLE_S: Final = 0.2
"""Changes come in swarms: one look at the tree does for all of them."""


class Tree:
    """``revision`` counts up when what ``views`` returns may be another than before."""

    def __init__(self, gm: GateManager, book: AddressBook, journal: Journal) -> None:
        self.appliances: list[ApplianceView] = []
        self.revision = 0
        self._gm = gm
        self._book = book
        self._journal = journal
        self._refreshing: asyncio.Task[None] | None = None
        self._again = False
        self._requests: dict[str, AccessView] = {}

    @property
    def requests(self) -> tuple[AccessView, ...]:
        """What was asked for in this login, and the decisions that the GateManager told, oldest first."""
        return tuple(self._requests.values())

    async def refresh(self) -> None:
        """Ask the GateManager. Raises GatelinkError."""
        self.appliances = await self._gm.list_appliances()
        self._book.learn(self.appliances)
        self.touch()

    async def views(self) -> Appliances:
        """Return it as it is known, with the addresses that would lead to each device now."""
        choices = self._book.foresee(self.appliances, await self._book.routes())
        views = tuple(appliance_view(each, self._book, choices) for each in self.appliances)
        return Appliances(appliances=views, revision=self.revision)

    def touch(self) -> None:
        """Something of what is shown changed."""
        self.revision += 1

    def changed(self) -> None:
        """The GateManager said that it is another one now: look, once for many such words."""
        self._again = True
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self._refresh_soon())

    async def watch(self) -> None:
        """Ask to be told of changes; an old GateManager that cannot do so is looked at when somebody asks."""
        with contextlib.suppress(GatelinkError):
            await self._gm.request(lambda number: WatchTree(request_id=number), Done)

    def close(self) -> None:
        """Let go."""
        if self._refreshing is not None:
            self._refreshing.cancel()

    async def ask_for_access(self, appliance: ApplianceView, wanted: AskForAccess) -> AccessView:
        """Ask the approvers. Raises Refused, LinkError."""
        answer = await self._gm.request(
            lambda number: RequestAccess(
                request_id=number,
                appliance_id=appliance.appliance_id,
                reason=wanted.reason,
                device_ids=wanted.device_ids,
                duration_s=wanted.duration_s,
            ),
            AccessRequested,
        )
        self._journal.note(f"access to {appliance.name} asked for: {wanted.reason}")
        view = AccessView(answer.access_id, appliance.appliance_id, appliance.name, "waiting", "", None)
        # Who decides at once may be heard before the answer is looked at.
        self._keep(self._requests.get(answer.access_id, view))
        return view

    def decided(self, message: AccessDecided) -> None:
        """Somebody decided."""
        text, name = message.text, message.name
        self._journal.note(f"access to {name}: {message.state}{f': {text}' if text else ''}")
        view = AccessView(message.access_id, message.appliance_id, name, message.state, text, message.valid_until)
        self._keep(view)

    def _keep(self, view: AccessView) -> None:
        self._requests[view.access_id] = view
        while len(self._requests) > MAX_REQUESTS:
            del self._requests[next(iter(self._requests))]
        self.touch()

    async def _refresh_soon(self) -> None:
        while self._again:
            await asyncio.sleep(_SETTLE_S)
            self._again = False
            with contextlib.suppress(GatelinkError):  # without a connection there is another login, and a look, soon
                await self.refresh()

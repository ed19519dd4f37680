"""One session: from asking the GateManager until nothing of it is left.

    connecting --> up --> reconnecting --> up --> ... --> ended

While it reconnects, TAP, address and routes stay, so that the applications' TCP connections survive; what they send
meanwhile is dropped. It ends when the user or the GateManager says so, when the GateManager refuses to resume it, when
the SiteManager has another key, when the service with rights is gone, or after ``give_up_s`` without success.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from gatelink.backoff import Backoff
from gatelink.exceptions import GatelinkError, LinkError, PeerChanged, Refused
from gatelink.identity import fingerprint_text, key_sha256
from gatelink.link.leg import end_to_end
from gatelink.messages import ChangeSession, Connected, DeviceAccess, Disconnect, Done, EndSession, SessionEnded
from gatelink.messages.shapes import Mode
from gatelink.tls import tunnel_client_context
from gatelink.tunnel.near_end import EndReason, PumpEnd
from lm_client.core.local import SessionView, State
from lm_client.core.refusals import is_final_connect, is_final_end, is_seen_from_outside
from lm_client.exceptions import ServiceError

from .carrier import Carrier
from .serial_ports import SerialPorts
from .surroundings import Surroundings
from .views import device_views
from .wiring import Wiring, Wish

DISCONNECTED: Final = "disconnected by the user"
_DISCONNECT_TIMEOUT_S: Final = 1.0
_OWN_REASON_S: Final = 1.0
"""How long an attempt whose line broke may take to say itself why."""
_MAX_TEXT_CHARACTERS: Final = 512
_MOST_AVOIDED: Final = 16
"""As many as fit into ``Connect``."""
R = TypeVar("R")


class Session:
    """Made by ``Sessions``; ``open`` once, then ``stay`` until it is over."""

    def __init__(
        self,
        around: Surroundings,
        appliance_id: str,
        name: str,
        device_ids: tuple[str, ...],
        reason: str,
        *,
        wish: Wish,
    ) -> None:
        self.appliance_id = appliance_id
        self.name = name
        self.domain = ""
        self.session_id = ""
        self.state: State = "connecting"
        self.devices: tuple[DeviceAccess, ...] = ()
        self.key_is_new = False
        self.wiring = Wiring(around, self.finish, wish)
        self.serial = SerialPorts(around.serial_directory, around.serial_forms, self._note, around.com_pairs)
        self._bridged = wish.bridged
        self.for_relays = wish.for_relays
        self.gone = asyncio.Event()
        """Nothing of it is left."""
        self._around = around
        self._device_ids = device_ids
        self._reason = reason
        self._avoided: tuple[str, ...] = ()
        """Virtual addresses that another GateManager's session has on this PC."""
        self._detail = ""
        self._since = time.time()
        self._ends_at: float | None = None
        self._key_sha256 = b""
        self._carrier: Carrier | None = None
        self._bytes_sent = 0
        self._bytes_received = 0
        """Of the carriers before the present one."""
        self._reconnects = 0
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._changes: set[asyncio.Future[None]] = set()

    def view(self) -> SessionView:
        """Return the session as it is now."""
        now = self._carrier.counters if self._carrier else None
        return SessionView(
            session_id=self.session_id,
            appliance_id=self.appliance_id,
            name=self.name,
            domain=self.domain,
            state=self.state,
            detail=self._detail,
            interface=self.wiring.interface,
            devices=device_views(
                self.devices,
                self.domain,
                self.name,
                self._around.addresses,
                self.wiring.choices,
                ttys=self.serial.links,
            ),
            since=self._since,
            ends_at=self._ends_at,
            bytes_sent=self._bytes_sent + (now.bytes_sent if now else 0),
            bytes_received=self._bytes_received + (now.bytes_received if now else 0),
            rtt_s=now.rtt_s if now else None,
            reconnects=self._reconnects,
            key_fingerprint=fingerprint_text(self._key_sha256) if self._key_sha256 else "",
            mode=self.mode,
        )

    @property
    def mode(self) -> Mode:
        """What the session is."""
        return "bridged" if self._bridged else "routed"

    def finish(self, reason: str) -> None:
        """End the session soon, for this reason. Idempotent: the first reason stays."""
        if not self._over.done():
            self._over.set_result(reason)

    @property
    def line(self) -> tuple[str, Callable[[str], None]] | None:
        """The own address of the session's line, and how it is given up, while there is one."""
        carrier = self._carrier
        return (carrier.own_address, carrier.break_off) if carrier else None

    def ended_by_gm(self, message: EndSession) -> None:
        """The GateManager ended it; or only told that the line broke."""
        reason = f"ended by the GateManager: {message.reason}"
        if self.state == "connecting" and is_seen_from_outside(message.code):
            asyncio.get_running_loop().call_later(_OWN_REASON_S, self._finish_opening, reason)
        elif self.state == "connecting" or is_final_end(message.code):
            self.finish(reason)
        elif self._carrier is not None:
            self._carrier.break_off(message.reason)

    def _finish_opening(self, reason: str) -> None:
        if self.state == "connecting":
            self.finish(reason)

    def changed_by_gm(self, message: ChangeSession) -> None:
        """The rights are others now: the routes follow."""
        self.devices = message.devices
        self._ends_at = message.ends_at
        self._note(f"rights changed: {', '.join(device.address for device in message.devices) or 'no device'}")
        change = asyncio.ensure_future(self._follow())
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)

    async def open(self) -> None:
        """Connect for the first time. Raises GatelinkError, and then nothing is left."""
        try:
            await self._unless_over(self._attempt(None))
        except BaseException as error:
            self.finish(str(error) if isinstance(error, GatelinkError) else "cancelled")
            await asyncio.shield(asyncio.ensure_future(self._clean_up()))
            raise

    async def stay(self) -> None:
        """Keep it up until it is over; then everything is gone."""
        try:
            while self._carrier is not None and not self._over.done():
                ended = self._carrier.ended
                await _first_of(ended, self._over)
                if not self._over.done():
                    await self._recover(ended.result())
        finally:
            self.finish("the agent ended")
            await self._clean_up()

    # one attempt

    async def _attempt(self, resume: str | None) -> None:
        around = self._around
        if resume is not None:
            await around.gm.wait_connected()
        answer = await self._ask(resume)
        presented = key_sha256(answer.peer_certificate)
        self.key_is_new = around.keys.check(self.appliance_id, self.name, presented)
        tls = await _together(self._open_line(answer), self.wiring.set_up(answer))
        tap = self.wiring.tap
        if tap is None:
            tls.close()
            raise ServiceError("the service with rights took the adapter away: start it again")
        self.wiring.drain()
        self._carrier = Carrier(tap, tls, around.settings.keepalive_s)
        try:
            await self._carrier.wait_up()
        except LinkError:
            # An SM that refuses us does so behind the handshake: here a connection breaks, the GM is told why.
            await asyncio.wait({self._over}, timeout=_OWN_REASON_S)
            raise
        around.keys.remember(self.appliance_id, self.name, presented)
        self._key_sha256 = presented
        await self._follow_serial()
        self.state, self._detail = "up", ""
        self._note(f"up on {self.wiring.interface}")

    async def _ask(self, resume: str | None) -> Connected:
        """Ask the GateManager until all that it gives is free here: GateManagers do not know of each other."""
        around, wanted = self._around, (self.appliance_id, self._device_ids, self._reason)
        tunnels: tuple[str, ...] = ()
        while True:
            avoid = tunnels + self._avoided
            asking = around.gm.connect(
                *wanted, resume, self._adopt, bridged=self._bridged, avoid=avoid, for_relays=self.for_relays
            )
            answer, routes = await asyncio.gather(asking, around.addresses.routes())
            if obstacle := self.wiring.obstacle(answer.tunnel, routes):
                if answer.tunnel.pc in avoid or len(tunnels) == _MOST_AVOIDED:
                    raise LinkError(f"the GateManager gives no other tunnel, and {obstacle}: end that session")
                self._note(f"another tunnel is asked for: {obstacle}")
                tunnels += (answer.tunnel.pc,)
            elif taken := self.wiring.taken(answer.devices, routes) - {*self._avoided}:
                self._note(
                    f"other virtual addresses are asked for: {', '.join(sorted(taken))} in use on this PC already"
                )
                self._avoided += tuple(sorted(taken))
            else:
                return answer
            # The one that was given is over with the next question, and its end is no longer about this session.
            resume, self.session_id = answer.session_id, ""

    def _adopt(self, answer: Connected) -> None:
        self.session_id = answer.session_id
        self.name, self.domain = answer.name, answer.domain
        self.devices, self._ends_at = answer.devices, answer.ends_at

    async def _open_line(self, answer: Connected) -> ssl.SSLSocket:
        gm = self._around.gm
        try:
            leg = await gm.open_leg(answer.ticket)
        except Refused as error:
            # About this ticket or this session; the next attempt has others.
            what = "did not take the session's ticket" if error.code == "ticket" else "ended the session"
            raise LinkError(f"the GateManager {what}: {error}") from None
        return await end_to_end(leg, tunnel_client_context(gm.identity, answer.peer_certificate), server_side=False)

    async def _follow(self) -> None:
        try:
            await self.wiring.change(self.devices)
            await self._follow_serial()
        except GatelinkError as error:
            self.finish(str(error))

    async def _follow_serial(self) -> None:
        """Have a pty for each granted serial port."""
        book = self._around.addresses
        domain, name = self.domain, self.name
        devices = () if self.for_relays else self.devices
        await self.serial.follow(devices, self.wiring.choices, lambda device: book.name_of(device, domain, name))

    # when it breaks

    async def _recover(self, end: PumpEnd) -> None:
        """Resume the session, or finish it."""
        self._count(end)
        if end.reason is EndReason.TAP_GONE:
            self.finish(end.detail)
            return
        self.state, self._detail = "reconnecting", end.detail or end.reason.value
        self._note(f"interrupted: {self._detail}; resuming")
        settings = self._around.settings
        backoff = Backoff(random.uniform, settings.backoff_first_s, settings.backoff_longest_s)
        try:
            async with asyncio.timeout(settings.give_up_s):
                while not self._over.done():
                    await asyncio.wait({self._over}, timeout=backoff.next_delay_s())
                    if not self._over.done() and await self._resumed():
                        self._reconnects += 1
                        return
        except TimeoutError:
            self.finish(f"given up after {settings.give_up_s:.0f} s: {self._detail}")

    async def _resumed(self) -> bool:
        """Try once; False if it did not succeed. Finishes the session when another attempt makes no sense."""
        try:
            await self._unless_over(self._attempt(self.session_id))
        except (PeerChanged, ServiceError) as error:
            self.finish(str(error))
        except Refused as error:
            self._detail = str(error)
            if is_final_connect(error.code):
                self.finish(f"the GateManager does not resume it: {error}")
        except GatelinkError as error:
            self._detail = str(error)
        else:
            return True
        self._note(f"not resumed: {self._detail}")
        return False

    async def _unless_over(self, attempt: Coroutine[Any, Any, R]) -> R:
        """Run an attempt, unless the session is finished meanwhile: LinkError then says why."""
        task = asyncio.ensure_future(attempt)
        try:
            await _first_of(task, self._over)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise LinkError(self._over.result())
        return task.result()

    # the end

    async def _clean_up(self) -> None:
        reason = self._over.result()
        self.state, self._detail = "ended", reason
        if reason == DISCONNECTED and self.session_id:
            await self._ask_for_end()
        # Routes and interface go at once; the pump may take a moment to say good-bye.
        carrier = self._carrier
        ending = asyncio.ensure_future(carrier.stop(reason)) if carrier else None
        await self.wiring.remove()
        await self.serial.close()
        if ending is not None:
            self._count(await ending)
        self.wiring.close()
        if self._key_sha256 or not self.for_relays:  # relays are tried for ever, and say themselves what is wrong
            self._note(f"ended: {reason}")
        if reason != DISCONNECTED and self.session_id:
            self._tell(reason)
        self.gone.set()

    def _count(self, end: PumpEnd) -> None:
        self._bytes_sent += end.bytes_sent
        self._bytes_received += end.bytes_received
        self._carrier = None

    async def _ask_for_end(self) -> None:
        """First, so that the GateManager's history says who ended it; a GateManager that is away delays nothing."""
        session_id = self.session_id
        with contextlib.suppress(GatelinkError, TimeoutError):
            async with asyncio.timeout(_DISCONNECT_TIMEOUT_S):
                await self._around.gm.request(lambda number: Disconnect(request_id=number, session_id=session_id), Done)

    def _tell(self, reason: str) -> None:
        ended = SessionEnded(
            session_id=self.session_id,
            reason=reason[:_MAX_TEXT_CHARACTERS],
            bytes_sent=self._bytes_sent,
            bytes_received=self._bytes_received,
        )
        self._around.gm.tell(ended)

    def _note(self, text: str) -> None:
        self._around.journal.note(f"session {self.name}: {text}")


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _together(opening: Coroutine[Any, Any, ssl.SSLSocket], wiring: Coroutine[Any, Any, None]) -> ssl.SSLSocket:
    """Do both halves of a connect at once; if one fails the other is of no use and is ended."""
    line, wired = asyncio.ensure_future(opening), asyncio.ensure_future(wiring)
    both: tuple[asyncio.Future[Any], ...] = (line, wired)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
        if wired.done():
            wired.result()
        tls = line.result()
        await wired
    except BaseException:
        for half in both:
            half.cancel()
        await asyncio.wait(both)
        if not line.cancelled() and line.exception() is None:
            line.result().close()
        if not wired.cancelled():
            wired.exception()
        raise
    return tls

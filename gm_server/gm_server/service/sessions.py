"""Opens, changes and ends sessions. Whoever takes a session out of the live table undoes everything about it, once."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

import msgspec

from gatelink.exceptions import GatelinkError, Refused
from gatelink.identity import certificate_sha256
from gatelink.messages import ChangeSession, Connect, Connected, DeviceAccess, EndSession, OpenSession
from gatelink.wire import TICKET_LIFETIME_S
from gm_server.access.actors import Actor
from gm_server.access.alternatives import avoiding
from gm_server.access.facts import load_facts
from gm_server.access.history import note_ended, note_joined, note_opened, note_refused, tunnel_to_resume
from gm_server.access.live import LiveSessions, Session
from gm_server.access.rights import Appliance, Rights
from gm_server.access.tickets import TicketBox
from gm_server.access.tunnels import TunnelPool
from gm_server.audit.repeats import Repeats
from gm_server.database.store import Store
from gm_server.ids import new_id
from gm_server.names import printable
from gm_server.relay.pool import RelayEnd

from .appliance_peer import AppliancePeer
from .peers import Peers
from .traffic import Traffic
from .user_peer import UserPeer

_NOT_GRANTED: Final = "you may not reach this, or it does not exist"
_REPEAT_S: Final = 60.0
"""The same refusal of the same user is recorded once in this time: an LM that tries on and on fills no log."""
_RELAY_REPEAT_S: Final = 86400.0
"""The same for permanent relays, which are asked for day and night."""
_log = logging.getLogger("gm.sessions")


class Relay(Protocol):
    """What is needed of the relay here."""

    def end(self, session_id: str, /) -> None:
        """Close both legs."""


class Sessions:
    """The live sessions and what can happen to them. ``clock`` is Unix time."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        relay: Relay,
        tunnels: TunnelPool,
        clock: Callable[[], float],
        sessions_per_user: int,
        ticket_lifetime_s: float = TICKET_LIFETIME_S,
    ) -> None:
        self._store = store
        self._peers = peers
        self._relay = relay
        self._tunnels = tunnels
        self._clock = clock
        self._sessions_per_user = sessions_per_user
        self._ticket_lifetime_s = ticket_lifetime_s
        self.live = LiveSessions()
        self.traffic = Traffic()
        self.tickets = TicketBox(ticket_lifetime_s)
        self.on_end: Callable[[str, str, str], None] = lambda _session_id, _code, _reason: None
        """Told of every end, its code and reason: legs that wait for their other one are dropped."""
        self._closing: dict[str, tuple[Session, str, str]] = {}
        """Ended while the relay carried them: their last byte counts are still to come."""
        self._refusals = Repeats(_REPEAT_S)
        self._relay_refusals = Repeats(_RELAY_REPEAT_S)
        self._notes: set[asyncio.Task[None]] = set()

    async def open(self, user: UserPeer, request: Connect) -> None:
        """Answer a user's request for a session; raises Refused."""
        try:
            await self._open(user, request)
        except Refused as error:
            key = f"{user.user_id} {request.appliance_id} {error.code}"
            refusals = self._relay_refusals if request.for_relays else self._refusals
            if refusals.is_new(key, self._clock()):
                by = Actor(user.user_id, user.name, (), "lm", user.address)
                text, resumes = str(error), request.resume_session_id
                self._note(
                    self._store.note(note_refused, by, request.appliance_id, error.code, text, resumes, self._clock())
                )
            raise

    async def _open(self, user: UserPeer, request: Connect) -> None:
        now = self._clock()
        facts = await self._store.read(load_facts, [user.user_id], [request.appliance_id])
        appliance = facts.appliances.get(request.appliance_id)
        if appliance is None or appliance.certificate is None or not facts.knows(user.certificate_sha256, now):
            raise Refused("not-granted", _NOT_GRANTED)
        if request.for_relays:
            rights = facts.relay_rights(user.user_id, appliance, now)
        else:
            rights = facts.rights(user.user_id, appliance, now, request.device_ids)
        if not rights.devices:
            raise Refused("not-granted", _NOT_GRANTED)
        if request.mode not in rights.modes:
            raise Refused("not-bridged", "no grant of yours allows bridged sessions here: connect routed")
        if rights.needs_reason and not request.reason.strip() and request.resume_session_id is None:
            raise Refused("needs-reason", "this needs a reason: say why you connect")
        kept_pc = await self._end_resumed(user, request, now)
        gateway = self._peers.appliance(appliance.appliance_id)
        if gateway is None:
            raise Refused("offline", f"{appliance.name} is not connected to the GateManager")
        if request.for_relays:
            self._make_way_for_relays(user, appliance.appliance_id)
        elif sum(not session.for_relays for session in self.live.of_user(user.user_id)) >= self._sessions_per_user:
            raise Refused("too-many", f"you have {self._sessions_per_user} sessions: end one first")
        session = self._new(user, gateway, appliance, rights, request, kept_pc, now)
        try:
            await self._store.note(note_opened, session, now)
        except BaseException:
            self.end(session.session_id, "failed", "the history could not be written")
            raise
        self._announce(session, user, appliance.certificate, request.request_id)

    def joined(self, session_id: str) -> bool:
        """Both legs are with the relay; False if the session ended meanwhile (the relay is then told)."""
        session = self.live.get(session_id)
        if session is None:
            self._relay.end(session_id)
            return False
        session.state = "joined"
        self._note(self._store.note(note_joined, session_id, self._clock()))
        _log.info("%s joined: %s to %s", session_id, session.user_name, session.appliance_path)
        return True

    def change(self, session: Session, rights: Rights) -> None:
        """Put other rights in force at both ends; ends the session if the SM cannot be told of narrower ones."""
        rights = _avoiding(rights, session.avoid)
        if (rights.devices, rights.ends_at) == (session.rights.devices, session.rights.ends_at):
            session.rights = rights
            return
        narrower = not _contains(rights.devices, session.rights.devices)
        session.rights = rights
        gateway = self._gateway_of(session)
        if gateway is None and narrower:
            self.end(session.session_id, "rights-changed", "what you may reach changed while the appliance was away")
            return
        self._tell_rights(session)

    def tell_rights_to(self, peer: AppliancePeer | UserPeer) -> None:
        """Bring a peer that logged in again up to date on its sessions."""
        for session in self.live:
            if peer in (self._gateway_of(session), self._peers.user(session.user_certificate_sha256)):
                peer.channel.send(_change_message(session))

    def end(self, session_id: str, code: str, reason: str) -> None:
        """End a session: both legs, both parties, its addresses, its row. Idempotent."""
        session = self.live.take_out(session_id)
        if session is None:
            return
        self._undo(session, code, reason)
        if session.state == "joined":
            self._closing[session_id] = (session, code, reason)
        else:
            self._close_row(session, code, reason)
        self._relay.end(session_id)

    def appliance_lost(self, peer: AppliancePeer) -> None:
        """Its control connection is gone: nobody waits for a leg that it has not opened yet."""
        for session in self.live.of_appliance(peer.appliance_id):
            if session.state == "opening" and self._gateway_of(session) is None:
                self.end(session.session_id, "offline", "the appliance lost its connection while the session opened")

    def relay_ended(self, session_id: str, end: RelayEnd) -> None:
        """The relay let go of a session: by itself, or because it was told to."""
        closing = self._closing.pop(session_id, None)
        if closing is None:
            session = self.live.take_out(session_id)
            if session is None:
                return
            code, reason = "relay", f"the connection ended: {printable(end.reason)}"[:512]
            self._undo(session, code, reason)
        else:
            session, code, reason = closing
        self.traffic.count(session, end.bytes_from_a, end.bytes_from_b)
        self._close_row(session, code, reason)

    def relay_counted(self, sessions: dict[str, tuple[int, int]]) -> None:
        """Note how many bytes came from the user and from the appliance."""
        for session_id, (from_user, from_appliance) in sessions.items():
            session = self.live.get(session_id)
            if session is not None:
                self.traffic.count(session, from_user, from_appliance)

    async def close(self, code: str, reason: str) -> None:
        """End everything and wait until the history says so."""
        for session in self.live:
            self.end(session.session_id, code, reason)
        for session, earlier_code, earlier_reason in self._closing.values():
            self._close_row(session, earlier_code, earlier_reason)
        self._closing.clear()
        await asyncio.gather(*self._notes, return_exceptions=True)

    # -- steps --------------------------------------------------------------------------------------------------------

    async def _end_resumed(self, user: UserPeer, request: Connect, now: float) -> str | None:
        """End the session that is to be resumed; return its tunnel address to keep, if it is the user's there."""
        resumed = request.resume_session_id
        if resumed is None:
            return None
        work = tunnel_to_resume
        kept_pc = await self._store.read(work, resumed, user.user_id, request.appliance_id, now)
        if kept_pc is not None:
            self.end(resumed, "resumed", "the session goes on over a new connection")
            for other in self.live.of_user(user.user_id):
                # It was asked for before, over a connection that died with our answer in it.
                if other.resumes == resumed and other.state == "opening":
                    self.end(other.session_id, "resumed", "the same session was asked for again")
        return kept_pc

    def _make_way_for_relays(self, user: UserPeer, appliance_id: str) -> None:
        """One session carries a user's relays with an appliance: what an agent that died left makes room.

        While another LinkManager of the same user carries them, this one is told to wait: it stands by.
        """
        for other in self.live.of_user(user.user_id):
            if other.for_relays and other.appliance_id == appliance_id:
                carrier = self._peers.user(other.user_certificate_sha256)
                if carrier is not None and carrier is not user:
                    raise Refused("busy", "another LinkManager of this user carries these relays: this one stands by")
                self.end(other.session_id, "resumed", "the relays go on over a new session")

    def _new(
        self,
        user: UserPeer,
        gateway: AppliancePeer,
        appliance: Appliance,
        rights: Rights,
        request: Connect,
        kept_pc: str | None,
        now: float,
    ) -> Session:
        kept = self._tunnels.reserve(kept_pc) if kept_pc and kept_pc not in request.avoid else None
        tunnel = kept or self._tunnels.allocate(request.avoid)
        session = Session(
            session_id=new_id("ses"),
            user_id=user.user_id,
            user_name=user.name,
            user_certificate_sha256=user.certificate_sha256,
            appliance_id=appliance.appliance_id,
            appliance_path=f"{appliance.domain}/{appliance.name}",
            appliance_certificate_sha256=gateway.certificate_sha256,
            run_id=gateway.run_id,
            device_ids=() if request.for_relays else request.device_ids,
            tunnel=tunnel,
            rights=_avoiding(rights, request.avoid),
            reason=printable(request.reason),
            address=user.address,
            opened_at=now,
            resumes=request.resume_session_id,
            mode=request.mode,
            avoid=request.avoid,
            for_relays=request.for_relays,
        )
        self.live.add(session)
        # What changed between the reading of the facts and now is found by the supervisor.
        self._store.touch()
        return session

    def _announce(self, session: Session, user: UserPeer, appliance_certificate: bytes, request_id: int) -> None:
        """Give both parties their tickets and start the time that they have."""
        session_id = session.session_id
        gateway = self._gateway_of(session)
        user_certificate = user.certificate
        if self.live.get(session_id) is None:
            raise Refused("not-granted", _NOT_GRANTED)
        if gateway is None or certificate_sha256(appliance_certificate) != gateway.certificate_sha256:
            self.end(session_id, "offline", "the appliance lost its connection")
            raise Refused("offline", "the appliance lost its connection just now")
        now = self._clock()
        user_ticket, appliance_ticket = secrets.token_bytes(32), secrets.token_bytes(32)
        self.tickets.put(user_ticket, session_id, "user", user.certificate_sha256, now)
        self.tickets.put(appliance_ticket, session_id, "appliance", gateway.certificate_sha256, now)
        common: dict[str, Any] = {
            "session_id": session_id,
            "tunnel": session.tunnel,
            "devices": session.rights.devices,
            "ends_at": session.rights.ends_at,
            "mode": session.mode,
        }
        gateway.channel.send(
            OpenSession(
                ticket=appliance_ticket,
                peer_certificate=user_certificate,
                user=session.user_name,
                reason=session.reason,
                **common,
            )
        )
        domain, _, name = session.appliance_path.rpartition("/")
        user.channel.send(
            Connected(
                request_id=request_id,
                ticket=user_ticket,
                peer_certificate=appliance_certificate,
                appliance_id=session.appliance_id,
                name=name,
                domain=domain,
                **common,
            )
        )
        _log.info("%s opened: %s to %s", session_id, session.user_name, session.appliance_path)
        asyncio.get_running_loop().call_later(self._ticket_lifetime_s, self._give_up_waiting, session_id)

    def _give_up_waiting(self, session_id: str) -> None:
        session = self.live.get(session_id)
        if session is not None and session.state == "opening":
            self.end(session_id, "timeout", f"not both sides came within {self._ticket_lifetime_s:.0f} s")

    def _undo(self, session: Session, code: str, reason: str) -> None:
        self._tunnels.release(session.tunnel)
        self.tickets.forget(session.session_id)
        self.on_end(session.session_id, code, reason)
        message = EndSession(session_id=session.session_id, code=code, reason=reason)
        gateway, user = self._gateway_of(session), self._peers.user(session.user_certificate_sha256)
        if gateway is not None:
            gateway.channel.send(message)
        if user is not None:
            user.channel.send(message)

    def _close_row(self, session: Session, code: str, reason: str) -> None:
        _log.info("%s ended (%s): %s", session.session_id, code, reason)
        self._note(self._store.note(note_ended, session, code, reason, self._clock()))

    def _tell_rights(self, session: Session) -> None:
        message = _change_message(session)
        gateway, user = self._gateway_of(session), self._peers.user(session.user_certificate_sha256)
        if gateway is not None:
            gateway.channel.send(message)
        if user is not None:
            user.channel.send(message)

    def _gateway_of(self, session: Session) -> AppliancePeer | None:
        """Return the connection of the session's SM if it is still the same unit and run."""
        peer = self._peers.appliance(session.appliance_id)
        if peer is None or peer.run_id != session.run_id:
            return None
        return peer if peer.certificate_sha256 == session.appliance_certificate_sha256 else None

    def _note(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the history be written; the session does not wait for it."""
        task = asyncio.get_running_loop().create_task(_logged(work))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except GatelinkError as error:
        _log.error("the history could not be written: %s", error)


def _change_message(session: Session) -> ChangeSession:
    return ChangeSession(session_id=session.session_id, devices=session.rights.devices, ends_at=session.rights.ends_at)


def _avoiding(rights: Rights, avoid: Sequence[str]) -> Rights:
    return msgspec.structs.replace(rights, devices=avoiding(rights.devices, avoid)) if avoid else rights


def _contains(wide: Sequence[DeviceAccess], narrow: Sequence[DeviceAccess]) -> bool:
    """Whether everything that ``narrow`` opens is open in ``wide``."""
    open_ports = {(_place(device), service) for device in wide for service in _ports(device)}
    return all((_place(device), service) in open_ports for device in narrow for service in _ports(device))


def _place(device: DeviceAccess) -> tuple[str, str, str]:
    return device.address, device.virtual_address, device.serial_port


def _ports(device: DeviceAccess) -> set[tuple[str, int, int]]:
    pushes = {("push", push.port, push.pc_port) for push in device.pushes}
    return {(service.protocol, service.first_port, service.last_port) for service in device.services} | pushes

"""control: logs SMs and LMs in. Who a peer is follows from exactly its certificate; a user proves a password as well.

Until the login is good nothing but the login (and its second factor) is understood; afterwards each kind has a
vocabulary of its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from gatelink.exceptions import GatelinkError, ProtocolError, Refused, UnknownMessage
from gatelink.identity import certificate_sha256
from gatelink.messages import (
    APPLIANCE_TO_GM,
    USER_TO_GM,
    ApplianceLogin,
    Connect,
    Disconnect,
    Done,
    ListAppliances,
    PinAlarms,
    RequestAccess,
    SessionEnded,
    SessionRefused,
    UserLogin,
    WatchRelays,
    WatchTree,
    Welcome,
)
from gatelink.tls_io import Conversation
from gatelink.wire import LOGIN_TIMEOUT_S
from gm_server.access.actors import Actor
from gm_server.access.facts import load_facts
from gm_server.access.history import ENDED_BY_USER
from gm_server.accounts.attempts import Attempt
from gm_server.accounts.login import Knock, Logins
from gm_server.accounts.users import is_certificate_of_user, note_login
from gm_server.appliances.alarms import note_alarms
from gm_server.appliances.registry import ApplianceParty, appliance_of
from gm_server.database.store import Store
from gm_server.frontdoor.places import group_of
from gm_server.frontdoor.visitor import Visitor
from gm_server.names import printable

from .access_desk import AccessDesk
from .appliance_peer import AppliancePeer
from .challenges import ask_for_factor
from .farewell import refuse
from .listing import page
from .peers import SIGNED_OUT, Peers
from .presence import PresenceLog
from .relay_desk import RelayDesk
from .sessions import Sessions
from .user_peer import UserPeer

_LIMIT_BYTES: Final = 16 * 1024
_log = logging.getLogger("gm.control")


class Manners(msgspec.Struct, frozen=True):
    """What a welcome says of the GateManager."""

    name: str
    addresses: tuple[str, ...]
    keepalive_s: float


class Control:
    """Answers ``gatelink-control/1``. ``clock`` is Unix time."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        sessions: Sessions,
        logins: Logins,
        presence: PresenceLog,
        access: AccessDesk,
        relays: RelayDesk,
        manners: Manners,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._peers = peers
        self._sessions = sessions
        self._logins = logins
        self._presence = presence
        self._access = access
        self._relays = relays
        self._manners = manners
        self._clock = clock

    async def __call__(self, visitor: Visitor) -> None:
        """Log a visitor in; its connection is a peer's from then on."""
        conversation = Conversation(visitor.tls, _LIMIT_BYTES)
        kept = False
        try:
            await self._log_in(visitor, conversation)
            kept = True
            visitor.admitted()
        except GatelinkError as error:
            await refuse(conversation, error)
            raise
        except TimeoutError:
            raise Refused("timeout", f"did not log in within {LOGIN_TIMEOUT_S:.0f} s") from None
        finally:
            if not kept:
                visitor.tls.close()

    async def _log_in(self, visitor: Visitor, conversation: Conversation) -> None:
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            begun = await self._begin(visitor, conversation)
        if begun is not None:
            login, attempt = begun
            if not attempt.is_done:
                # Who knows the password is no stranger; the login's own bounds hold from here on.
                visitor.admitted()
                key = secrets.token_bytes(16)
                await ask_for_factor(conversation, USER_TO_GM, self._logins, attempt, key, self._clock)
            await self._welcome_user(visitor, conversation, attempt, login)

    async def _begin(self, visitor: Visitor, conversation: Conversation) -> tuple[UserLogin, Attempt] | None:
        """Welcome an appliance, or return what a user's password has begun."""
        digest = certificate_sha256(visitor.certificate)
        appliance = await self._store.read(appliance_of, digest)
        if appliance is not None:
            appliance_login = await conversation.receive(APPLIANCE_TO_GM)
            if not isinstance(appliance_login, ApplianceLogin):
                raise ProtocolError("expected appliance-login first")
            await self._welcome_appliance(visitor, conversation, appliance, digest, appliance_login)
            return None
        try:
            login = await conversation.receive(USER_TO_GM)
        except UnknownMessage:
            if not await self._store.read(is_certificate_of_user, digest):
                text = "this certificate is not known here: it was removed or revoked"
                raise Refused("unknown-certificate", text) from None
            raise
        if not isinstance(login, UserLogin):
            raise ProtocolError("expected user-login first")
        if self._peers.was_signed_out(digest, self._clock()):
            raise Refused("login", SIGNED_OUT)
        group = group_of(visitor.address)
        knock = Knock(login.password, "lm", visitor.address, group, certificate_sha256=digest, resume=login.resume)
        return login, await self._logins.begin(knock)

    async def _welcome_appliance(
        self,
        visitor: Visitor,
        conversation: Conversation,
        appliance: ApplianceParty,
        digest: bytes,
        login: ApplianceLogin,
    ) -> None:
        now = self._clock()
        path = f"{appliance.domain}/{appliance.name}"
        await self._note_alarms(appliance.appliance_id, path, login.pin_alarms, now)
        peer = AppliancePeer(
            events=self,
            appliance_id=appliance.appliance_id,
            path=path,
            certificate_sha256=digest,
            run_id=login.run_id,
            software=printable(login.software)[:128],
            address=visitor.address,
            port=visitor.port,
            since=now,
        )
        tls = conversation.hand_over()
        peer.start(tls, self._manners.keepalive_s)
        before = self._peers.put_appliance(peer)
        peer.channel.send(self._welcome(appliance.appliance_id, appliance.name, appliance.domain, now))
        if before is not None:
            before.channel.refuse("replaced", "the same appliance logged in again")
        for session in self._sessions.live.of_appliance(peer.appliance_id):
            if session.run_id != peer.run_id:
                self._sessions.end(session.session_id, "appliance-restarted", "the appliance was restarted")
        self._sessions.tell_rights_to(peer)
        # Between the look-up and now it may have been revoked.
        self._store.touch()
        self._presence.connected(peer)
        _log.info("%s connected from %s to port %d", path, peer.address, peer.port)

    async def _welcome_user(
        self, visitor: Visitor, conversation: Conversation, attempt: Attempt, login: UserLogin
    ) -> None:
        now, person = self._clock(), attempt.person
        await self._note_alarms(person.user_id, person.name, login.pin_alarms, now)
        await self._store.note(self._admit, attempt, printable(login.software), now)
        peer = UserPeer(self, person.user_id, person.name, visitor.certificate, visitor.address, now)
        tls = conversation.hand_over()
        peer.start(tls, self._manners.keepalive_s)
        before = self._peers.put_user(peer)
        peer.channel.send(
            self._welcome(person.user_id, person.name, person.domain, now, self._logins.resume_word(attempt))
        )
        if before is not None:
            before.channel.refuse("replaced", "the same LinkManager logged in again")
        self._sessions.tell_rights_to(peer)
        self._store.touch()
        _log.info("user %s connected from %s", person.name, visitor.address)

    def _admit(self, session: Session, attempt: Attempt, software: str, now: float) -> None:
        person = attempt.person
        by = Actor(person.user_id, person.name, (), "lm", attempt.address)
        self._logins.passed(session, attempt, by, now, software=software)
        note_login(session, attempt.certificate_sha256 or b"", software, now)

    def _welcome(self, peer_id: str, name: str, domain: str, now: float, resume: bytes = b"") -> Welcome:
        return Welcome(
            gm_name=self._manners.name,
            peer_id=peer_id,
            name=name,
            domain=domain,
            unix_time_s=now,
            keepalive_s=self._manners.keepalive_s,
            gm_addresses=self._manners.addresses,
            resume=resume,
        )

    async def _note_alarms(self, reporter_id: str, name: str, alarms: PinAlarms, now: float) -> None:
        if alarms:
            _log.warning("%s met %d foreign certificates on its way here: `gm alarms list`", name, len(alarms))
            await self._store.note(note_alarms, reporter_id, name, alarms, now)

    # -- what peers say -----------------------------------------------------------------------------------------------

    def appliance_refused(self, peer: AppliancePeer, message: SessionRefused) -> None:
        """The SM cannot open a session: it ends."""
        session = self._sessions.live.get(message.session_id)
        if session is not None and session.appliance_id == peer.appliance_id:
            self._sessions.end(message.session_id, message.code, printable(message.text))

    def appliance_ended(self, peer: AppliancePeer, message: SessionEnded) -> None:
        """The SM ended a session."""
        session = self._sessions.live.get(message.session_id)
        if session is not None and session.appliance_id == peer.appliance_id:
            self._sessions.end(message.session_id, "ended-by-appliance", printable(message.reason) or "ended")

    def user_ended(self, peer: UserPeer, message: SessionEnded) -> None:
        """The LM ended a session."""
        session = self._sessions.live.get(message.session_id)
        if session is not None and session.user_certificate_sha256 == peer.certificate_sha256:
            self._sessions.end(message.session_id, ENDED_BY_USER, printable(message.reason) or "ended")

    def appliance_left(self, peer: AppliancePeer, reason: str) -> None:
        """An SM's connection is gone; its sessions have connections of their own."""
        self._peers.remove_appliance(peer)
        self._sessions.appliance_lost(peer)
        self._presence.lost(peer, printable(reason))
        _log.info("%s disconnected: %s", peer.path, printable(reason))

    def user_left(self, peer: UserPeer, reason: str) -> None:
        """An LM's connection is gone; its sessions have connections of their own."""
        self._peers.remove_user(peer)
        _log.info("user %s disconnected: %s", peer.name, printable(reason))

    async def list_appliances(self, peer: UserPeer, request: ListAppliances) -> None:
        """Answer with a page."""
        facts = await self._store.read(load_facts, [peer.user_id])
        live, now = self._sessions.live, self._clock()
        answer = page(facts, peer.user_id, self._peers, live, request.after, request.request_id, now)
        if not request.after:
            peer.listed.clear()
        peer.listed.update(view.appliance_id for view in answer.appliances)
        peer.channel.send(answer)

    async def request_access(self, peer: UserPeer, request: RequestAccess) -> None:
        """Ask the approvers."""
        await self._access.request_access(peer, request)

    async def watch_tree(self, peer: UserPeer, request: WatchTree) -> None:
        """Tell of changes from now on."""
        await self._access.watch_tree(peer, request)

    async def watch_relays(self, peer: UserPeer, request: WatchRelays) -> None:
        """Tell which permanent relays it is to carry."""
        await self._relays.watch(peer, request)

    async def connect(self, peer: UserPeer, request: Connect) -> None:
        """Open a session."""
        await self._sessions.open(peer, request)

    async def disconnect(self, peer: UserPeer, request: Disconnect) -> None:
        """End a session of the user's own."""
        session = self._sessions.live.get(request.session_id)
        if session is None or session.user_id != peer.user_id:
            raise Refused("unknown-session", "you have no such session")
        self._sessions.end(request.session_id, ENDED_BY_USER, "the user disconnected")
        peer.channel.send(Done(request_id=request.request_id))

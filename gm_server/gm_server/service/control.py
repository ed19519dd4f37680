"""control: logs SMs and LMs in. Who a peer is follows from exactly its certificate; a user proves a password as well.

Until the login is good nothing but the login is understood; afterwards each kind has a vocabulary of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

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
    SessionEnded,
    SessionRefused,
    UserLogin,
    Welcome,
)
from gatelink.tls_io import Conversation
from gatelink.wire import LOGIN_TIMEOUT_S
from gm_server.access.facts import load_facts
from gm_server.accounts.passwords import PasswordPool
from gm_server.accounts.throttle import Throttle
from gm_server.accounts.users import Account, account_of, note_login
from gm_server.appliances.alarms import note_alarms
from gm_server.appliances.registry import ApplianceParty, appliance_of
from gm_server.database.store import Store
from gm_server.frontdoor.places import group_of
from gm_server.frontdoor.visitor import Visitor
from gm_server.names import printable

from .appliance_peer import AppliancePeer
from .farewell import refuse
from .listing import page
from .peers import Peers
from .presence import PresenceLog
from .sessions import Sessions
from .user_peer import UserPeer

_LIMIT_BYTES: Final = 16 * 1024
_FREE_ATTEMPTS: Final = 3
"""Of a certificate, and so of its user, before guessing costs time. A stolen one slows nobody else down."""
_FREE_ATTEMPTS_OF_ADDRESS: Final = 20
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
        passwords: PasswordPool,
        presence: PresenceLog,
        manners: Manners,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._peers = peers
        self._sessions = sessions
        self._passwords = passwords
        self._presence = presence
        self._manners = manners
        self._clock = clock
        self._by_certificate = Throttle(_FREE_ATTEMPTS)
        self._by_address = Throttle(_FREE_ATTEMPTS_OF_ADDRESS)

    async def __call__(self, visitor: Visitor) -> None:
        """Log a visitor in; its connection is a peer's from then on."""
        conversation = Conversation(visitor.tls, _LIMIT_BYTES)
        kept = False
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_S):
                try:
                    await self._log_in(visitor, conversation)
                    kept = True
                except GatelinkError as error:
                    await refuse(conversation, error)
                    raise
            visitor.admitted()
        except TimeoutError:
            raise Refused("timeout", f"did not log in within {LOGIN_TIMEOUT_S:.0f} s") from None
        finally:
            if not kept:
                visitor.tls.close()

    async def _log_in(self, visitor: Visitor, conversation: Conversation) -> None:
        digest = certificate_sha256(visitor.certificate)
        appliance = await self._store.read(appliance_of, digest)
        if appliance is not None:
            appliance_login = await conversation.receive(APPLIANCE_TO_GM)
            if not isinstance(appliance_login, ApplianceLogin):
                raise ProtocolError("expected appliance-login first")
            await self._welcome_appliance(visitor, conversation, appliance, digest, appliance_login)
            return
        account = await self._store.read(account_of, digest)
        try:
            login = await conversation.receive(USER_TO_GM)
        except UnknownMessage:
            if account is None:
                text = "this certificate is not known here: it was removed or revoked"
                raise Refused("unknown-certificate", text) from None
            raise
        if not isinstance(login, UserLogin):
            raise ProtocolError("expected user-login first")
        await self._check_password(visitor.address, digest, account, login.password)
        assert account is not None  # noqa: S101 - else the password was not good
        await self._welcome_user(visitor, conversation, account, digest, login)

    async def _check_password(self, address: str, digest: bytes, account: Account | None, password: str) -> None:
        """Raise Refused, with the same text and after the same work whatever is wrong, unless all is right."""
        now = self._clock()
        certificate, group = digest.hex(), group_of(address)
        wait_s = max(self._by_certificate.wait_s(certificate, now), self._by_address.wait_s(group, now))
        if wait_s > 0:
            raise Refused("try-later", f"too many logins failed: try again in {wait_s + 0.5:.0f} s")
        if self._passwords.is_full:
            raise Refused("busy", "too many logins at the same time: try again in a moment")
        self._by_certificate.attempt(certificate, now)
        self._by_address.attempt(group, now)
        known_hash = account.password_hash if account is not None and account.is_good else None
        if not await self._passwords.verify(password, known_hash):
            _log.warning("login refused from %s (certificate of %s)", address, account.name if account else "nobody")
            raise Refused("login", "the password is wrong, or this account cannot log in")
        self._by_certificate.forget(certificate)
        # An address may be many people's: one who knows his password does not make up for another who guesses.
        self._by_address.take_back(group)

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
        self._presence.note(peer)
        _log.info("%s connected from %s to port %d", path, peer.address, peer.port)

    async def _welcome_user(
        self, visitor: Visitor, conversation: Conversation, account: Account, digest: bytes, login: UserLogin
    ) -> None:
        now = self._clock()
        await self._note_alarms(account.user_id, account.name, login.pin_alarms, now)
        await self._store.note(note_login, digest, printable(login.software), now)
        peer = UserPeer(self, account.user_id, account.name, visitor.certificate, visitor.address, now)
        tls = conversation.hand_over()
        peer.start(tls, self._manners.keepalive_s)
        before = self._peers.put_user(peer)
        peer.channel.send(self._welcome(account.user_id, account.name, account.domain, now))
        if before is not None:
            before.channel.refuse("replaced", "the same LinkManager logged in again")
        self._sessions.tell_rights_to(peer)
        self._store.touch()
        _log.info("user %s connected from %s", account.name, visitor.address)

    def _welcome(self, peer_id: str, name: str, domain: str, now: float) -> Welcome:
        return Welcome(
            gm_name=self._manners.name,
            peer_id=peer_id,
            name=name,
            domain=domain,
            unix_time_s=now,
            keepalive_s=self._manners.keepalive_s,
            gm_addresses=self._manners.addresses,
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
            self._sessions.end(message.session_id, "ended-by-user", printable(message.reason) or "ended")

    def appliance_left(self, peer: AppliancePeer, reason: str) -> None:
        """An SM's connection is gone; its sessions have connections of their own."""
        self._peers.remove_appliance(peer)
        self._presence.note(peer)
        _log.info("%s disconnected: %s", peer.path, printable(reason))

    def user_left(self, peer: UserPeer, reason: str) -> None:
        """An LM's connection is gone; its sessions have connections of their own."""
        self._peers.remove_user(peer)
        _log.info("user %s disconnected: %s", peer.name, printable(reason))

    async def list_appliances(self, peer: UserPeer, request: ListAppliances) -> None:
        """Answer with a page."""
        facts = await self._store.read(load_facts, [peer.user_id])
        now = self._clock()
        peer.channel.send(page(facts, peer.user_id, self._peers, request.after, request.request_id, now))

    async def connect(self, peer: UserPeer, request: Connect) -> None:
        """Open a session."""
        await self._sessions.open(peer, request)

    async def disconnect(self, peer: UserPeer, request: Disconnect) -> None:
        """End a session of the user's own."""
        session = self._sessions.live.get(request.session_id)
        if session is None or session.user_id != peer.user_id:
            raise Refused("unknown-session", "you have no such session")
        self._sessions.end(request.session_id, "ended-by-user", "the user disconnected")
        peer.channel.send(Done(request_id=request.request_id))

"""The whole GateManager, put together: ``start`` it, ``run`` it until it is told to stop, ``close`` it."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from gatelink.claims import fingerprint_of
from gatelink.identity import Identity, fingerprint_text, key_sha256, load_certificate
from gatelink.wire import ALPN_CONTROL, ALPN_ENROL, ALPN_HELLO, ALPN_LOGIN, ALPN_RELAY
from gm_server import __version__
from gm_server.access.history import close_open_rows
from gm_server.access.tunnels import TunnelPool
from gm_server.accounts.login import Logins
from gm_server.accounts.passwords import PasswordPool
from gm_server.accounts.seals import Seals
from gm_server.acts import requests
from gm_server.alarms.records import Told
from gm_server.api.app import Api
from gm_server.api.endpoints import Reach
from gm_server.appliances.virtual import number_devices
from gm_server.certificates.bundle import parse_bundle
from gm_server.config import check_tunnel_network
from gm_server.database.engine import Database
from gm_server.database.revisions import upgrade
from gm_server.database.store import Store
from gm_server.directory import DataDirectory
from gm_server.enrolment.claims import Sender
from gm_server.enrolment.door import Authorities, EnrolmentDoor
from gm_server.frontdoor.browsers import Browsers
from gm_server.frontdoor.door import Door
from gm_server.frontdoor.listeners import open_listeners
from gm_server.frontdoor.strangers import Strangers
from gm_server.local.desk import Desk
from gm_server.mail.sender import Postman
from gm_server.relay.pool import RelayPool
from gm_server.texting.sender import TextMessages
from gm_server.web.app import About, Portal, make_app
from gm_server.web.arrivals import Arrivals
from gm_server.web.decision import Decision
from gm_server.web.entrance import Entrance
from gm_server.web.pages.account import AccountPages
from gm_server.web.probes import Probes

from .access_desk import AccessDesk
from .alarm_keeper import AlarmKeeper
from .appliance_desk import ApplianceDesk
from .audit_keeper import AuditKeeper
from .contexts import load_contexts
from .control import Control, Manners
from .hello import Hello
from .legs import Legs
from .live import Live
from .login_door import LoginDoor
from .metrics import CONTENT_TYPE, Metrics
from .peers import Peers
from .presence import PresenceLog
from .relay_desk import RelayDesk
from .sessions import Sessions
from .supervisor import Supervisor
from .web_certificate import WebCertificate

_STOPPING: Final = "the GateManager is stopping"
_log = logging.getLogger("gm.server")


class Server:
    """One GateManager on its data directory. ``clock`` is Unix time."""

    def __init__(self, directory: DataDirectory, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self.config = directory.config()
        self.addresses: tuple[tuple[str, int], ...] = ()
        """Where it listens, once started."""
        self.missing_files: tuple[str, ...] = ()
        """What its pages load and this installation lacks, once started."""
        self._lock = -1
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open everything; raises GatelinkError with one clear line."""
        raise_descriptor_limit()
        self._lock = self._directory.lock()
        try:
            await self._start()
        except BaseException:
            os.close(self._lock)
            self._lock = -1
            raise

    async def _start(self) -> None:
        config, clock = self.config, self._clock
        self._authorities = Authorities(self._directory.device_authority(), self._directory.user_authority())
        contexts = load_contexts(self._directory, self._authorities)
        listeners = open_listeners(config.listeners)
        self.addresses = tuple(listener.getsockname()[:2] for listener in listeners)
        try:
            self.store = Store(_open_database(self._directory))
            await self.store.note(close_open_rows, clock())
            await self.store.note(number_devices)
            self._audit = AuditKeeper(self.store, lambda: self.door.contexts.identity, clock)
            self.relay = await RelayPool(config.relay_workers or None).start()
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        self.strangers = Strangers(asyncio.get_running_loop().time)
        self._passwords = PasswordPool()
        self.texts = TextMessages(self.store, clock)
        self.peers = Peers()
        tunnels = TunnelPool(check_tunnel_network(config.tunnel_network), secrets.randbits(32))
        self.sessions = Sessions(self.store, self.peers, self.relay, tunnels, clock, config.limits.sessions_per_user)
        self.relay.on_ended = self.sessions.relay_ended
        self.relay.on_counters = self.sessions.relay_counted
        self.presence = PresenceLog(self.store, clock)
        seals = Seals.of_authority(self._authorities.users)
        self.logins = Logins(self.store, self._passwords, seals, self.texts, clock)
        self.access = AccessDesk(self.store, self.peers, self.sessions.live, lambda: self._letters(seals), clock)
        self.relays = RelayDesk(self.store, self.peers)
        self.post = Postman(self.store, config.name, clock)
        self.alarms = AlarmKeeper(self.store, self.peers, self._own_certificates, self._told, clock)
        manners = Manners(config.name, config.addresses, config.keepalive_s)
        files = self._directory.bundle_files()
        self.appliance_desk = ApplianceDesk(self.store, self.peers, files, clock, self.sessions.traffic.take)
        scans = self.appliance_desk.scans
        self.live = Live(
            self.store, self.peers, self.sessions, scans, self.texts, files, self.relays, clock, self.reload
        )
        letters = partial(self._letters, seals)
        portal = Portal(self.store, self.live, self._about, self._sender, letters, self._identity, clock)
        self.missing_files = portal.assets.missing
        entrance = Entrance(portal, self.logins, config.addresses)
        self._arrivals = Arrivals(entrance, self._passwords, seals, lambda: self._letters(seals).address)
        own = AccountPages(entrance, self._passwords, self._authorities.users, seals)
        reach = Reach(self.live, self._sender, lambda: self._letters(seals), self._identity, config.name)
        api = Api(self.store, reach, clock, portal.assets.url("gatelink.css"), config.limits.api_requests_per_s)
        probes = Probes(self.store, Metrics(self).render, CONTENT_TYPE, clock)
        decision = Decision(entrance)
        more = (
            *probes.routes(),
            *entrance.routes(),
            *self._arrivals.routes(),
            *own.routes(),
            *decision.routes(),
            api.mount(),
        )
        self._browsers = Browsers(make_app(portal, *more), config.limits)
        self.door = Door(
            contexts,
            {
                ALPN_HELLO: Hello(config.name, self.store, clock),
                ALPN_ENROL: EnrolmentDoor(
                    self.store,
                    self._authorities,
                    self._passwords,
                    clock,
                    first_use=config.first_use_enrolment,
                    at_once=config.limits.enrolments,
                    waiting=config.limits.waiting_appliances,
                ),
                ALPN_LOGIN: LoginDoor(self.store, self.logins, self._authorities.users, clock),
                ALPN_CONTROL: Control(
                    self.store,
                    self.peers,
                    self.sessions,
                    self.logins,
                    self.presence,
                    self.access,
                    self.relays,
                    manners,
                    clock,
                ),
                ALPN_RELAY: Legs(self.sessions, self.relay, clock),
            },
            self._browsers.serve,
            config.addresses,
            config.limits,
            self.strangers,
        )
        self.web_certificate = WebCertificate(
            self.store, self._directory.web_path, self.door.challenges, self.reload, clock
        )
        self._desk = Desk(self, clock)
        await self._desk.open(self._directory.path)
        self.supervisor = Supervisor(self.store, self.peers, self.sessions, clock)
        self.supervisor.on_decided = self._on_decided
        self._tasks = [
            asyncio.create_task(self.supervisor.run()),
            asyncio.create_task(self.presence.run()),
            asyncio.create_task(self.live.run()),
            *self.appliance_desk.tasks(),
            asyncio.create_task(self.access.run()),
            asyncio.create_task(self.relays.run()),
            asyncio.create_task(self._audit.run()),
            asyncio.create_task(self.post.run()),
            asyncio.create_task(self.web_certificate.run()),
            asyncio.create_task(self.alarms.run()),
        ]
        await self._audit.started()
        self.door.open(listeners)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``; raises what one of our own tasks failed with."""
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stopping.cancel()

    def reload(self) -> None:
        """Use the certificates that lie in the data directory now; if one is damaged GatelinkError, and all stays."""
        self.door.contexts = load_contexts(self._directory, self._authorities)
        _log.info("certificates loaded: serial %s", self.door.contexts.identity.serial)

    async def close(self) -> None:
        """End every session, tell everybody, write what is to be written."""
        await self.door.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.sessions.close("gm-stopped", _STOPPING)
        for appliance in self.peers.appliances():
            appliance.channel.close(_STOPPING)
        for user in self.peers.users():
            user.channel.close(_STOPPING)
        await self._desk.close()
        self.live.feed.close()
        await self._browsers.close()
        await self.relay.close()
        await self.presence.flush()
        await self.appliance_desk.close()
        await self.logins.close()
        await self._arrivals.close()
        await self._audit.stopped()
        self._passwords.close()
        self.store.close()
        os.close(self._lock)

    def _on_decided(self) -> None:
        """The records changed, and everybody was judged by them."""
        self.appliance_desk.reports.look()
        self.appliance_desk.firmware.look()
        self.access.look()
        self.relays.look()

    def _letters(self, seals: Seals) -> requests.Sender:
        """Return what letters need to know of this server."""
        return requests.Sender(self.config.name, self.web_address, seals)

    @property
    def web_address(self) -> str:
        """Under which browsers find it, as far as it knows."""
        port = next((port for _, port in self.addresses if port == 443), self.addresses[0][1])
        host = self.config.addresses[0]
        shown = f"[{host}]" if ":" in host else host
        return f"https://{shown}" + ("" if port == 443 else f":{port}")

    def _told(self) -> Told:
        return Told(self.config.name, self.web_address)

    def certificate_ends(self) -> list[tuple[str, float]]:
        """Return when its own certificates end (Unix time), by name."""
        web = parse_bundle(self._directory.web_path.read_bytes()).not_after
        appliance = load_certificate(self.door.contexts.identity.certificate).not_valid_after_utc.timestamp()
        return [("appliance", appliance), ("web", web)]

    def _own_certificates(self) -> list[tuple[str, bytes]]:
        """Those whose end would be everybody's."""
        return [
            ("this server (appliance certificate)", self.door.contexts.identity.certificate),
            ("this server (for browsers)", parse_bundle(self._directory.web_path.read_bytes()).certificate),
        ]

    def _identity(self) -> Identity:
        return self.door.contexts.identity

    def _sender(self) -> Sender:
        return Sender(self.config.addresses, fingerprint_of(self.door.contexts.identity.certificate))

    def _about(self) -> About:
        identity = self.door.contexts.identity
        fingerprint = fingerprint_text(key_sha256(identity.certificate))
        return About(self.config.name, __version__, identity.serial, fingerprint)


def raise_descriptor_limit() -> None:
    """Let this process have as many connections as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _open_database(directory: DataDirectory) -> Database:
    database = directory.database()
    try:
        upgrade(database)
    except BaseException:
        database.close()
        raise
    return database

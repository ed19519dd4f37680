"""Looks for devices at the machine side: everybody is asked by broadcast first, those who answered one by one then.

Careful with PLCs: at most ``FRAMES_PER_S`` frames a second, ``AT_ONCE`` connections at the same time, one to the same
device, nothing that writes, and each question at most once or twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gatelink.messages import FoundDevice
from sitemanager.core.admission import HostNetwork
from sitemanager.core.discovery import Identity, arp, bacnet, ethernet_ip, lldp, mdns, merged, modbus_identity, opcua
from sitemanager.core.discovery import profinet_dcp as dcp
from sitemanager.core.discovery.opcua import OpcUaConversation
from sitemanager.core.discovery.s7 import PORT as S7_PORT
from sitemanager.core.discovery.s7 import SLOTS, S7Conversation
from sitemanager.exceptions import NetworkError
from sitemanager.host.probes.conversations import OneQuestion, converse
from sitemanager.host.probes.datagrams import BroadcastPort
from sitemanager.host.probes.ethernet import EthernetPort

FRAMES_PER_S: Final = 100
AT_ONCE: Final = 4
LISTEN_S: Final = 3.0
"""For answers after the last question; PROFINET stations may take 0.64 s of it, BACnet ones longer."""
TALK_S: Final = 2.0
MOST_HOSTS: Final = 1024
MOST_IDENTITIES: Final = 4096
"""A security limit: whoever sends answers without end fills no memory."""
_LLDP_GROUP: Final = bytes.fromhex("0180c200000e")


class Scanner:
    """One scan of one interface."""

    def __init__(self, interface: str, networks: Sequence[HostNetwork]) -> None:
        self._interface = interface
        self._networks = [known for known in networks if known.interface == interface and known.address is not None]
        self._own = {str(known.address) for known in networks if known.address is not None}
        self._found: list[Identity] = []
        self.notes: list[str] = []

    async def run(self) -> tuple[FoundDevice, ...]:
        """Do it. Raises NetworkError where nothing can be looked at."""
        with contextlib.ExitStack() as stack:
            frames = stack.enter_context(contextlib.closing(EthernetPort(self._interface, arp.ETHERTYPE, self._arp)))
            stations = stack.enter_context(contextlib.closing(EthernetPort(self._interface, dcp.ETHERTYPE, self._dcp)))
            switches = stack.enter_context(
                contextlib.closing(EthernetPort(self._interface, lldp.ETHERTYPE, self._lldp))
            )
            switches.join(_LLDP_GROUP)
            stations.send(dcp.request(stations.mac, secrets.randbits(32)))
            self._ask_by_broadcast(stack)
            for address in self._hosts():
                frames.send(arp.request(frames.mac, address))
                await asyncio.sleep(1 / FRAMES_PER_S)
            await asyncio.sleep(LISTEN_S)
        await self._ask_each()
        return merged(self._found)

    def _ask_by_broadcast(self, stack: contextlib.ExitStack) -> None:
        questions: tuple[tuple[int, int, bytes, Callable[[bytes, str], Identity | None]], ...] = (
            (0, ethernet_ip.PORT, ethernet_ip.request(), ethernet_ip.parse),
            (bacnet.PORT, bacnet.PORT, bacnet.request(), bacnet.parse),
            (0, mdns.PORT, mdns.request(), mdns.parse),
        )
        for own_port, port, question, parse in questions:
            try:
                port_open = BroadcastPort(self._interface, own_port, self._datagram(parse))
            except NetworkError as error:
                self.notes.append(str(error))
                continue
            stack.enter_context(contextlib.closing(port_open))
            if port == mdns.PORT:
                port_open.send(question, mdns.GROUP, port)
                continue
            for known in self._networks:
                port_open.send(question, str(known.network.broadcast_address), port)

    def _hosts(self) -> Iterator[str]:
        for known in self._networks:
            network = known.network
            if network.num_addresses > MOST_HOSTS:
                network = ipaddress.IPv4Network((int(known.address or 0), 24), strict=False)
                self.notes.append(f"{known.network} is large: only {network} was looked through")
            yield from (str(address) for address in network.hosts() if str(address) not in self._own)

    async def _ask_each(self) -> None:
        addresses = sorted({one.address for one in self._found if self._is_near(one.address)})
        places = asyncio.Semaphore(AT_ONCE)

        async def ask(address: str) -> None:
            async with places:
                await self._talk(address)

        await asyncio.gather(*(ask(address) for address in addresses[:MOST_HOSTS]))

    async def _talk(self, address: str) -> None:
        for slot in SLOTS:
            s7 = S7Conversation(address, slot)
            listens = await converse(address, S7_PORT, s7, TALK_S)
            self._note(s7.identity)
            if not listens or s7.identity is not None:
                break
        modbus = OneQuestion(modbus_identity.request(), lambda data: modbus_identity.parse(data, address))
        await converse(address, modbus_identity.PORT, modbus, TALK_S)
        self._note(modbus.identity)
        ua = OpcUaConversation(address)
        await converse(address, opcua.PORT, ua, TALK_S)
        self._note(ua.identity)

    def _is_near(self, address: str) -> bool:
        """Whether it is in the machine's own network: an answer may name any address in the world."""
        return bool(address) and any(ipaddress.IPv4Address(address) in known.network for known in self._networks)

    def _note(self, identity: Identity | None) -> None:
        is_own = identity is not None and identity.address in self._own
        if identity is not None and not is_own and len(self._found) < MOST_IDENTITIES:
            self._found.append(identity)

    def _arp(self, frame: bytes) -> None:
        identity = arp.parse(frame)
        if identity is not None and self._is_near(identity.address):
            self._note(identity)

    def _dcp(self, frame: bytes) -> None:
        self._note(dcp.parse(frame))

    def _lldp(self, frame: bytes) -> None:
        self._note(lldp.parse(frame))

    def _datagram(self, parse: Callable[[bytes, str], Identity | None]) -> Callable[[bytes, str], None]:
        return lambda data, address: self._note(parse(data, address))

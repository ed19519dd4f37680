"""A small DHCP server (RFC 2131) for the technician's laptop on the machine side. No I/O. Parses what strangers send.

Careful with a plant: it gives out few addresses for a short time, and with them neither gateway nor name server, so
that a laptop keeps its own way to the internet, and a PLC that asks by mistake gets no way out. Addresses that somebody
declines are left alone for an hour. Relayed requests are not answered: they come from another network.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from typing import Final

import msgspec

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
OFFER_S: Final = 30.0
"""How long an offered address waits for its client."""
DECLINED_S: Final = 3600.0
MOST_PACKET_BYTES: Final = 1500
_FIXED: Final = struct.Struct(">BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE: Final = b"\x63\x82\x53\x63"
_SMALLEST_BYTES: Final = 300
"""Some clients want no less (RFC 1542, 2.1)."""
_NOWHERE: Final = bytes(4)


class Packet(msgspec.Struct, frozen=True):
    """A client's packet, as far as it matters here."""

    kind: int
    xid: int
    flags: int
    client: bytes
    """Hardware address, 6 bytes."""
    ciaddr: ipaddress.IPv4Address
    """The address that the client has and uses already; 0.0.0.0 if it has none."""
    giaddr: ipaddress.IPv4Address
    requested: ipaddress.IPv4Address | None = None
    server: ipaddress.IPv4Address | None = None
    identifier: bytes = b""
    """Who the client says it is; its hardware address where it says nothing."""


class Reply(msgspec.Struct, frozen=True):
    """What to send, and to whom: None is everybody (255.255.255.255), port 68 in any case."""

    data: bytes
    to: ipaddress.IPv4Address | None


class Lease(msgspec.Struct):
    """An address given out, offered, or declined (then ``client`` is empty); ``until`` in steady seconds."""

    address: ipaddress.IPv4Address
    client: bytes
    until: float
    is_bound: bool


class DhcpServer:
    """The server of one port. Time is steady seconds."""

    def __init__(self, interface: ipaddress.IPv4Interface, pool: Sequence[ipaddress.IPv4Address], lease_s: int) -> None:
        self._interface = interface
        self._pool = tuple(pool)
        self._lease_s = lease_s
        self.leases: dict[ipaddress.IPv4Address, Lease] = {}

    def answer(self, data: bytes, now: float) -> Reply | None:
        """Return the answer to a packet; None where there is none. Never raises."""
        packet = parse(data)
        if packet is None or int(packet.giaddr):
            return None
        match packet.kind:
            case 1:
                return self._discover(packet, now)
            case 3:
                return self._request(packet, now)
            case 4:
                self._decline(packet, now)
            case 7:
                self._release(packet)
            case 8:
                return Reply(self._packet(packet, ACK, ipaddress.IPv4Address(0), with_lease=False), packet.ciaddr)
        return None

    def _discover(self, packet: Packet, now: float) -> Reply | None:
        address = self._choose(packet, now)
        if address is None:
            return None
        lease = self.leases.get(address)
        if lease is None or not lease.is_bound or lease.client != packet.identifier:
            self.leases[address] = Lease(address, packet.identifier, now + OFFER_S, is_bound=False)
        return Reply(self._packet(packet, OFFER, address), None)

    def _request(self, packet: Packet, now: float) -> Reply | None:
        if packet.server is not None and packet.server != self._interface.ip:
            self._forget_offers(packet.identifier)
            return None
        address = packet.requested if packet.requested is not None else packet.ciaddr
        if not self._is_free_for(address, packet.identifier, now):
            # Silence for an address that was never ours: another server may know it (RFC 2131, 4.3.2).
            if packet.server is None and address in self._interface.network and address not in self._pool:
                return None
            return Reply(self._packet(packet, NAK, ipaddress.IPv4Address(0), with_lease=False), None)
        self._forget_offers(packet.identifier)
        self.leases[address] = Lease(address, packet.identifier, now + self._lease_s, is_bound=True)
        return Reply(self._packet(packet, ACK, address), packet.ciaddr if int(packet.ciaddr) else None)

    def _decline(self, packet: Packet, now: float) -> None:
        address = packet.requested
        lease = self.leases.get(address) if address is not None else None
        if lease is not None and lease.client == packet.identifier:
            self.leases[lease.address] = Lease(lease.address, b"", now + DECLINED_S, is_bound=False)

    def _release(self, packet: Packet) -> None:
        lease = self.leases.get(packet.ciaddr)
        if lease is not None and lease.client == packet.identifier:
            del self.leases[packet.ciaddr]

    def _choose(self, packet: Packet, now: float) -> ipaddress.IPv4Address | None:
        """The client's own address from before, the one that it wants, a fresh one, the one that is free longest."""
        mine = [lease.address for lease in self.leases.values() if lease.client == packet.identifier]
        wanted = [packet.requested] if packet.requested is not None else []
        fresh = [address for address in self._pool if address not in self.leases]
        old = sorted(self.leases.values(), key=lambda lease: lease.until)
        for address in (*mine, *wanted, *fresh, *(lease.address for lease in old)):
            if self._is_free_for(address, packet.identifier, now):
                return address
        return None

    def _is_free_for(self, address: ipaddress.IPv4Address, client: bytes, now: float) -> bool:
        if address not in self._pool:
            return False
        lease = self.leases.get(address)
        return lease is None or lease.client == client or lease.until <= now

    def _forget_offers(self, client: bytes) -> None:
        for address in [key for key, lease in self.leases.items() if lease.client == client and not lease.is_bound]:
            del self.leases[address]

    def _packet(self, to: Packet, kind: int, address: ipaddress.IPv4Address, *, with_lease: bool = True) -> bytes:
        options = [(53, bytes([kind])), (54, self._interface.ip.packed)]
        if kind != NAK:
            options.append((1, self._interface.netmask.packed))
        if with_lease:
            options += [(51, struct.pack(">I", self._lease_s)), (58, struct.pack(">I", self._lease_s // 2))]
        ciaddr = to.ciaddr.packed if kind == ACK else _NOWHERE
        head = _FIXED.pack(
            2, 1, 6, 0, to.xid, 0, to.flags, ciaddr, address.packed, _NOWHERE, _NOWHERE,
            to.client.ljust(16, b"\0"), b"", b"", _COOKIE,
        )  # fmt: skip
        body = b"".join(bytes([code, len(value)]) + value for code, value in options) + b"\xff"
        return (head + body).ljust(_SMALLEST_BYTES, b"\0")


def parse(data: bytes) -> Packet | None:
    """Return a client's packet; None for what is none."""
    if not _FIXED.size < len(data) <= MOST_PACKET_BYTES:
        return None
    op, kind, size, _, xid, _, flags, ciaddr, _, _, giaddr, chaddr, _, _, cookie = _FIXED.unpack_from(data)
    if (op, kind, size, cookie) != (1, 1, 6, _COOKIE):
        return None
    options = _options(data[_FIXED.size :])
    message = options.get(53, b"")
    if len(message) != 1 or not DISCOVER <= message[0] <= INFORM:
        return None
    client = chaddr[:6]
    return Packet(
        kind=message[0],
        xid=xid,
        flags=flags & 0x8000,
        client=client,
        ciaddr=ipaddress.IPv4Address(ciaddr),
        giaddr=ipaddress.IPv4Address(giaddr),
        requested=_address(options.get(50)),
        server=_address(options.get(54)),
        identifier=options.get(61) or client,
    )


def discover(client: bytes, xid: int) -> bytes:
    """Return a DISCOVER, to find out whether another server answers."""
    head = _FIXED.pack(
        1, 1, 6, 0, xid, 0, 0x8000, _NOWHERE, _NOWHERE, _NOWHERE, _NOWHERE,
        client.ljust(16, b"\0"), b"", b"", _COOKIE,
    )  # fmt: skip
    return (head + bytes([53, 1, DISCOVER]) + b"\xff").ljust(_SMALLEST_BYTES, b"\0")


def offer_from(data: bytes, xid: int) -> ipaddress.IPv4Address | None:
    """Return who answers our DISCOVER with this packet; None if it is no answer to it."""
    if not _FIXED.size < len(data) <= MOST_PACKET_BYTES:
        return None
    fields = _FIXED.unpack_from(data)
    options = _options(data[_FIXED.size :])
    if fields[0] != 2 or fields[4] != xid or fields[-1] != _COOKIE or options.get(53) != bytes([OFFER]):
        return None
    return _address(options.get(54)) or ipaddress.IPv4Address(0)


def _options(data: bytes) -> dict[int, bytes]:
    """Every option that is whole; the first one of a code counts."""
    found: dict[int, bytes] = {}
    start = 0
    while start < len(data) and data[start] != 255:
        if data[start] == 0:
            start += 1
            continue
        if start + 2 > len(data):
            break
        code, size = data[start], data[start + 1]
        value = data[start + 2 : start + 2 + size]
        if len(value) < size:
            break
        found.setdefault(code, value)
        start += 2 + size
    return found


def _address(data: bytes | None) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(data) if data is not None and len(data) == 4 else None

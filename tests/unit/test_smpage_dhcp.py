"""The DHCP server of the machine side, packet by packet."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from sitemanager.core.dev_port import dev_address, pool
from sitemanager.core.dhcp import (
    ACK,
    DECLINE,
    DISCOVER,
    INFORM,
    NAK,
    OFFER,
    RELEASE,
    REQUEST,
    DhcpServer,
    Reply,
    discover,
    offer_from,
    parse,
)

OWN = ipaddress.IPv4Interface("10.0.0.1/24")
POOL = pool(OWN, "10.0.0.100", "10.0.0.102")
LAPTOP, PHONE, THIRD, FOURTH = (bytes([2, 0, 0, 0, 0, number]) for number in range(1, 5))


def packet(
    client: bytes,
    kind: int,
    *,
    requested: ipaddress.IPv4Address | None = None,
    server: ipaddress.IPv4Address | None = None,
    ciaddr: str = "0.0.0.0",
    giaddr: str = "0.0.0.0",
) -> bytes:
    """A client's packet."""
    head = struct.pack(">BBBBIHH", 1, 1, 6, 0, 77, 0, 0x8000)
    head += ipaddress.IPv4Address(ciaddr).packed + bytes(8) + ipaddress.IPv4Address(giaddr).packed
    head += client.ljust(16, b"\0") + bytes(192) + b"\x63\x82\x53\x63"
    options = bytes([53, 1, kind])
    for code, value in ((50, requested), (54, server)):
        if value is not None:
            options += bytes([code, 4]) + value.packed
    return head + options + b"\xff"


def seen(reply: Reply | None) -> tuple[int, str] | None:
    """Kind and address of a reply."""
    if reply is None:
        return None
    assert reply.data[:4] == b"\x02\x01\x06\x00"
    assert len(reply.data) >= 300
    return reply.data[242], str(ipaddress.IPv4Address(reply.data[16:20]))


def lease(server: DhcpServer, client: bytes, now: float = 0.0) -> str:
    """Go through it as a client does; the address."""
    offered = seen(server.answer(packet(client, DISCOVER), now))
    assert offered is not None
    assert offered[0] == OFFER
    request = packet(client, REQUEST, requested=ipaddress.IPv4Address(offered[1]), server=OWN.ip)
    assert seen(server.answer(request, now)) == (ACK, offered[1])
    return offered[1]


def test_every_client_gets_an_address_of_its_own_and_the_same_again() -> None:
    server = DhcpServer(OWN, POOL, 600)
    assert lease(server, LAPTOP) == "10.0.0.100"
    assert lease(server, PHONE) == "10.0.0.101"
    assert lease(server, LAPTOP, 300.0) == "10.0.0.100"
    assert lease(server, THIRD) == "10.0.0.102"
    assert server.answer(packet(FOURTH, DISCOVER), 400.0) is None
    assert lease(server, FOURTH, 650.0) == "10.0.0.101"


def test_neither_gateway_nor_name_server_is_told() -> None:
    reply = DhcpServer(OWN, POOL, 600).answer(packet(LAPTOP, DISCOVER), 0.0)
    assert reply is not None
    codes, rest = set(), reply.data[240:]
    while rest[0] != 255:
        codes.add(rest[0])
        rest = rest[2 + rest[1] :]
    assert codes == {53, 54, 1, 51, 58}


def test_request_is_answered_no_or_not_at_all_when_it_is_not_ours() -> None:
    server = DhcpServer(OWN, POOL, 600)
    own = lease(server, LAPTOP)
    other = ipaddress.IPv4Address("10.0.0.7")
    assert seen(server.answer(packet(PHONE, REQUEST, requested=ipaddress.IPv4Address(own)), 1.0)) == (NAK, "0.0.0.0")
    assert server.answer(packet(PHONE, REQUEST, requested=POOL[1], server=other), 1.0) is None
    assert server.answer(packet(PHONE, REQUEST, requested=other), 1.0) is None
    foreign = ipaddress.IPv4Address("192.168.1.5")
    assert seen(server.answer(packet(PHONE, REQUEST, requested=foreign), 1.0)) == (NAK, "0.0.0.0")
    assert server.answer(packet(PHONE, DISCOVER, giaddr="10.9.9.9"), 1.0) is None


def test_lease_is_renewed_released_and_left_alone_when_declined() -> None:
    server = DhcpServer(OWN, POOL, 600)
    own = lease(server, LAPTOP)
    reply = server.answer(packet(LAPTOP, REQUEST, ciaddr=own), 550.0)
    assert seen(reply) == (ACK, own)
    assert reply is not None
    assert str(reply.to) == own
    assert server.leases[ipaddress.IPv4Address(own)].until == 1150.0
    server.answer(packet(PHONE, RELEASE, ciaddr=own), 560.0)
    assert ipaddress.IPv4Address(own) in server.leases
    server.answer(packet(LAPTOP, RELEASE, ciaddr=own), 560.0)
    assert not server.leases
    own = lease(server, LAPTOP, 600.0)
    server.answer(packet(LAPTOP, DECLINE, requested=ipaddress.IPv4Address(own), server=OWN.ip), 601.0)
    assert lease(server, LAPTOP, 602.0) != own
    assert seen(server.answer(packet(PHONE, INFORM, ciaddr="10.0.0.9"), 1.0)) == (ACK, "0.0.0.0")


def test_own_question_is_understood_and_only_its_answer_counts() -> None:
    other = DhcpServer(
        ipaddress.IPv4Interface("192.168.50.1/24"),
        pool(ipaddress.IPv4Interface("192.168.50.1/24"), "192.168.50.100", "192.168.50.101"),
        600,
    )
    question = discover(LAPTOP, 4711)
    assert parse(question) is not None
    reply = other.answer(question, 0.0)
    assert reply is not None
    assert str(offer_from(reply.data, 4711)) == "192.168.50.1"
    assert offer_from(reply.data, 4712) is None
    assert offer_from(question, 4711) is None


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1", "10.0.0.0/24", "10.0.0.255/24", "127.0.0.1/8", "10.0.0.1/33", "10.0.0.1/31", "x/24", "224.0.0.1/24"],
)
def test_port_address_is_refused_when_it_can_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        dev_address(text)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("10.0.0.5", "10.0.0.4"),
        ("10.0.0.0", "10.0.0.9"),
        ("10.0.0.1", "10.0.0.9"),
        ("10.0.1.1", "10.0.1.9"),
        ("x", "y"),
    ],
)
def test_pool_is_refused_when_it_cannot_be_given_out(first: str, last: str) -> None:
    with pytest.raises(ValueError):
        pool(OWN, first, last)

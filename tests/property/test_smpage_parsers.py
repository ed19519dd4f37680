"""What strangers on the machine side send: DHCP packets, forms, and lines on the local socket."""

from __future__ import annotations

import asyncio
import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from sitemanager.core.dhcp import ACK, DISCOVER, NAK, OFFER, REQUEST, DhcpServer, discover, offer_from, parse
from sitemanager.core.local import Failure
from sitemanager.services.desk import Desk
from unit.test_smpage_dhcp import OWN, POOL, packet

clients = st.sampled_from([bytes([2, 0, 0, 0, 0, number]) for number in range(1, 7)])
addresses = st.sampled_from([*POOL, OWN.ip, ipaddress.IPv4Address("192.168.1.1"), ipaddress.IPv4Address(0), None])


@given(st.binary(max_size=700) | st.binary(max_size=200).map(lambda tail: discover(b"\2\0\0\0\0\1", 1)[:236] + tail))
def test_any_packet_is_answered_or_ignored(data: bytes) -> None:
    server = DhcpServer(OWN, POOL, 600)
    reply = server.answer(data, 0.0)
    assert reply is None or parse(data) is not None
    offer_from(data, 1)


@given(
    st.lists(st.tuples(clients, st.sampled_from([1, 3, 4, 7, 8]), addresses, addresses, st.floats(0, 900)), max_size=40)
)
def test_no_address_is_given_to_two_at_once(
    steps: list[tuple[bytes, int, ipaddress.IPv4Address | None, ipaddress.IPv4Address | None, float]],
) -> None:
    server = DhcpServer(OWN, POOL, 600)
    now = 0.0
    bound: dict[ipaddress.IPv4Address, tuple[bytes, float]] = {}
    for client, kind, requested, server_id, wait_s in steps:
        now += wait_s
        reply = server.answer(packet(client, kind, requested=requested, server=server_id), now)
        if reply is not None and reply.data[242] == ACK and kind == REQUEST:
            address = ipaddress.IPv4Address(reply.data[16:20])
            assert address in POOL
            holder, until = bound.get(address, (client, 0.0))
            assert holder == client or until <= now
            bound[address] = (client, now + 600)
        assert len(server.leases) <= len(POOL)
    assert {DISCOVER, OFFER, NAK} == {1, 2, 6}


@given(st.binary(max_size=300))
def test_any_line_on_the_local_socket_gets_a_failure(line: bytes) -> None:
    answer = asyncio.run(Desk(lambda visit: False).answer(line, is_owner=True))
    assert isinstance(answer, Failure)

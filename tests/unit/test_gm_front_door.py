"""Places, turns, the redirect, the choice of a side, the log about strangers."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gatelink.hello import ClientHello
from gm_server.frontdoor.door import choose
from gm_server.frontdoor.places import Places, group_of
from gm_server.frontdoor.redirect import MAX_REQUEST_BYTES, answer
from gm_server.frontdoor.strangers import Strangers
from gm_server.frontdoor.turns import Turns


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
    ],
)
def test_ipv6_networks_count_as_one_address(address: str, group: str) -> None:
    assert group_of(address) == group


def test_longest_waiting_of_an_address_makes_room_when_it_had_its_grace() -> None:
    places = Places(10, 2, grace_s=1.0)
    first, _ = places.admit("192.0.2.1", 0.0)
    places.admit("192.0.2.1", 0.5)
    assert places.admit("192.0.2.1", 0.9) == (None, None)
    place, victim = places.admit("192.0.2.1", 1.0)
    assert place is not None
    assert victim is first
    assert len(places) == 2


def test_address_with_the_most_makes_room_when_everything_is_full() -> None:
    places = Places(3, 3, grace_s=1.0)
    places.admit("192.0.2.9", 0.0)
    greedy, _ = places.admit("192.0.2.1", 0.1)
    places.admit("192.0.2.1", 0.2)
    assert places.opens_at(0.5) == pytest.approx(1.1)
    _, victim = places.admit("192.0.2.5", 1.1)
    assert victim is greedy


def test_place_is_given_back_once() -> None:
    places = Places(3, 3)
    place, _ = places.admit("192.0.2.1", 0.0)
    assert place is not None
    places.release(place)
    places.release(place)
    assert len(places) == 0


def _location(request: bytes) -> str:
    response = answer(request, ("gm.example", "203.0.113.1"), ("10.0.0.1",))
    assert response is not None
    lines = response.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 308 Permanent Redirect"
    [location] = [line for line in lines if line.startswith("Location: ")]
    return location.removeprefix("Location: ")


@pytest.mark.parametrize(
    ("host", "target", "location"),
    [
        (b"gm.example", b"/", "https://gm.example/"),
        (b"GM.example:80", b"/a?b=c", "https://gm.example/a?b=c"),
        (b"gm.example:11444", b"/", "https://gm.example:11444/"),
        (b"10.0.0.1", b"/", "https://10.0.0.1/"),
        (b"evil.example", b"/x", "https://gm.example/x"),
        (b"evil.example:80@gm.example", b"/", "https://gm.example/"),
        (b"gm.example:99999999", b"/", "https://gm.example/"),
        (b"", b"/", "https://gm.example/"),
        (b"gm.example", b"http://evil.example/", "https://gm.example/"),
        (b"gm.example", b"//evil.example/", "https://gm.example//evil.example/"),
        (b"\xff\xfe", b"/", "https://gm.example/"),
    ],
)
def test_redirect_stays_with_our_own_addresses(host: bytes, target: bytes, location: str) -> None:
    assert _location(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n") == location


@pytest.mark.parametrize(
    "request_head",
    [
        b"nonsense\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\nX: y HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gm.example\r\nHost: evil.example\r\n\r\n",
    ],
)
def test_request_is_refused_when_it_is_malformed(request_head: bytes) -> None:
    response = answer(request_head, ("gm.example",))
    assert response is not None
    assert response.startswith(b"HTTP/1.1 400 ")


def test_request_is_refused_when_it_is_too_long() -> None:
    assert answer(b"GET / HTTP/1.1\r\n", ("gm.example",)) is None
    too_long = answer(b"A" * MAX_REQUEST_BYTES, ("gm.example",))
    assert too_long is not None
    assert too_long.startswith(b"HTTP/1.1 431 ")
    long_target = answer(b"GET /" + b"a" * 4000 + b" HTTP/1.1\r\n\r\n", ("gm.example",))
    assert long_target is not None
    assert long_target.startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    ("protocols", "side"),
    [
        ((), "web"),
        (("h2", "http/1.1"), "web"),
        (("gatelink-control/1",), "with-certificate"),
        (("gatelink-relay/1",), "with-certificate"),
        (("gatelink-hello/1",), "without-certificate"),
        (("http/1.1", "gatelink-enrol/1"), "without-certificate"),
        (("gatelink-control/9", "gatelink-control/1"), "with-certificate"),
        (("gatelink-control/9",), "unknown"),
        (("gatelink-tunnel/1",), "unknown"),
    ],
)
def test_first_protocol_of_ours_chooses_the_side(protocols: tuple[str, ...], side: str) -> None:
    assert choose(ClientHello(None, protocols)) == side


def test_strangers_are_counted_but_only_so_many_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    strangers = Strangers(lambda: now, lines_a_minute=3)
    caplog.set_level(logging.INFO)
    for _ in range(10):
        strangers.note("tls", "192.0.2.1", "bad\nnews\x1b[31m")
    assert strangers.counts["tls"] == 10
    assert len(caplog.records) == 3
    assert "\n" not in caplog.records[0].getMessage()
    now = 61.0
    strangers.note("tls", "192.0.2.1", "more")
    assert [record.getMessage() for record in caplog.records[3:]] == [
        "strangers: 7 more errors in the last minute were not logged",
        "192.0.2.1: tls: more",
    ]


def test_turn_of_a_slow_one_is_over_when_others_wait() -> None:
    async def scenario() -> None:
        turns = Turns(1, hold_s=0.05)
        leave = asyncio.Event()
        order: list[str] = []

        async def slow() -> None:
            async with turns.turn():
                order.append("slow began")
                await leave.wait()
            order.append("slow ended")

        async def quick() -> None:
            async with turns.turn():
                order.append("quick")
            leave.set()

        await asyncio.gather(slow(), quick())
        assert order == ["slow began", "quick", "slow ended"]
        async with turns.turn():
            waiting = asyncio.create_task(quick())
            await asyncio.sleep(0)
            assert not waiting.done()
        await waiting

    asyncio.run(scenario())

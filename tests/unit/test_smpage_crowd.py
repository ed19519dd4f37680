"""Who leaves when the set-up page is full: never the newcomer, and never the technician for strangers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from sitemanager.web.crowd import MOST_CONNECTIONS, MOST_OF_A_NEIGHBOUR, WELCOME_S, Crowd

LAPTOP = "10.0.0.50"


class Scene:
    """A crowd, and the far ends of its connections."""

    def __init__(self) -> None:
        self.now = 0.0
        self.macs: dict[str, str] = {}
        self.crowd = Crowd(lambda address: self.macs.get(address, ""), lambda: self.now)
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self._port = 1024

    def comes(self, address: str, *, asks: bool = False) -> socket.socket:
        """Somebody connects; his end of it."""
        self._port += 1
        ours, theirs = socket.socketpair()
        self.pairs.append((ours, theirs))
        self.crowd.enter(ours, (address, self._port))
        if asks:
            self.crowd.asked((address, self._port))
        theirs.setblocking(False)
        return theirs

    def strangers(self, count: int, *, asks: bool = False) -> list[socket.socket]:
        """So many, each with an address and a MAC of his own."""
        return [self.comes(f"10.0.{1 + number // 200}.{1 + number % 200}", asks=asks) for number in range(count)]


@pytest.fixture
def scene() -> Iterator[Scene]:
    found = Scene()
    yield found
    for pair in found.pairs:
        for end in pair:
            end.close()


def is_there(end: socket.socket) -> bool:
    try:
        return end.recv(1) != b""
    except BlockingIOError:
        return True


def staying(ends: list[socket.socket]) -> int:
    return sum(map(is_there, ends))


def test_newcomer_gets_in_and_the_oldest_silent_stranger_leaves_when_the_page_is_full(scene: Scene) -> None:
    asking = scene.comes("10.0.0.9", asks=True)
    strangers = scene.strangers(MOST_CONNECTIONS - 1)
    laptop = scene.comes(LAPTOP)
    assert is_there(laptop)
    assert is_there(asking)
    assert [is_there(end) for end in strangers[:2]] == [False, True]


def test_technician_stays_when_strangers_come_and_ask_without_end(scene: Scene) -> None:
    browser = [scene.comes(LAPTOP, asks=True) for _ in range(6)]
    scene.crowd.welcome(LAPTOP)
    late = scene.strangers(3 * MOST_CONNECTIONS, asks=True)
    assert staying(browser) == 6
    assert staying(late) == MOST_CONNECTIONS - 6
    scene.now = WELCOME_S + 1
    scene.strangers(MOST_CONNECTIONS, asks=True)
    assert staying(browser) == 0, "who left the machine hours ago is a stranger again"


def test_neighbour_has_a_share_only_when_he_uses_many_addresses(scene: Scene) -> None:
    scene.macs = {f"10.0.0.{number}": "02:00:00:00:00:66" for number in range(100, 200)}
    first = scene.comes("10.0.0.20")
    many = [scene.comes(f"10.0.0.{number}") for number in range(100, 200)]
    assert is_there(first)
    assert staying(many) == MOST_OF_A_NEIGHBOUR
    assert all(map(is_there, many[-MOST_OF_A_NEIGHBOUR:]))


def test_connection_counts_no_more_when_it_was_closed(scene: Scene) -> None:
    first = scene.comes("10.0.0.20")
    for _ in range(3 * MOST_OF_A_NEIGHBOUR):
        scene.comes(LAPTOP)
        scene.pairs[-1][0].close()
    scene.strangers(MOST_CONNECTIONS - 2)
    assert is_there(first)

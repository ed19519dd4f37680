"""What the service with rights lets a caller ask for. Real kernels are asked in tests/netns."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from gatelink.exceptions import InputError
from lm_client.service.rules import KernelRoute, check_destinations, check_ends, check_free, parse_host, parse_plant

GATEWAY = IPv4Address("10.10.1.1")
SURROUNDINGS = [
    KernelRoute(IPv4Network("0.0.0.0/0"), "unicast", "eth0", (GATEWAY,)),
    KernelRoute(IPv4Network("10.10.1.0/24"), "unicast", "eth0", ()),
    KernelRoute(IPv4Network("10.10.1.2/32"), "local", "eth0", ()),
    KernelRoute(IPv4Network("127.0.0.0/8"), "local", "lo", ()),
    KernelRoute(IPv4Network("172.20.0.0/16"), "unicast", "tun0", (IPv4Address("172.31.0.1"),)),
    KernelRoute(IPv4Network("192.168.7.7/32"), "blackhole", "", ()),
    KernelRoute(IPv4Network("192.168.50.10/32"), "unicast", "gl0", (IPv4Address("198.18.0.1"),)),
    KernelRoute(IPv4Network("198.18.0.1/32"), "unicast", "gl0", ()),
]


def _check(address: str, own: str = "", keep_clear: tuple[str, ...] = ()) -> list[str]:
    clear = [IPv4Address(one) for one in keep_clear]
    return check_destinations([IPv4Address(address)], clear, SURROUNDINGS, own)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("10.10.1.2", "own address"),
        ("127.0.0.5", "own address"),
        ("10.10.1.1", "a gateway of this PC"),
        ("172.31.0.1", "a gateway of this PC"),
        ("198.18.0.1", "a gateway of this PC"),
        ("192.168.7.7", r"already \(blackhole\)"),
        ("192.168.50.10", "already through gl0"),
    ],
)
def test_destination_is_refused_when_the_pc_needs_it(address: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        _check(address)


def test_destination_is_refused_when_it_is_on_the_way_to_the_gm() -> None:
    with pytest.raises(InputError, match="cut itself off"):
        _check("203.0.113.10", keep_clear=("203.0.113.10",))


def test_routes_are_no_obstacle_when_they_are_the_callers_own() -> None:
    assert _check("192.168.50.10", own="gl0") == []
    assert _check("198.18.0.1", own="gl0") == []


def test_larger_network_is_no_obstacle_when_it_is_routed_elsewhere() -> None:
    assert _check("172.20.3.4") == []


def test_caller_is_warned_when_the_network_is_attached() -> None:
    (warning,) = _check("10.10.1.77")
    assert warning.startswith("10.10.1.77 lies in 10.10.1.0/24, which is attached to this PC (eth0)")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "10.0.0.0/8",
        "010.1.1.1",
        "10.1.1",
        "::1",
        "0.0.0.0",
        "127.1.2.3",
        "224.1.1.1",
        "240.1.1.1",
        "255.255.255.255",
    ],
)
def test_address_is_refused_when_it_is_no_host(text: str) -> None:
    with pytest.raises(InputError, match=r"^a device: "):
        parse_host(text, "a device")


@pytest.mark.parametrize(
    ("pc", "gateway", "prefix_length", "good"),
    [
        ("198.18.0.2", "198.18.0.1", 30, True),
        ("198.18.0.1", "198.18.0.2", 30, True),
        ("198.18.0.254", "198.18.0.1", 24, True),
        ("198.18.0.2", "198.18.0.2", 30, False),
        ("198.18.0.0", "198.18.0.1", 30, False),
        ("198.18.0.3", "198.18.0.1", 30, False),
        ("198.18.0.1", "198.18.0.3", 30, False),
        ("198.18.0.2", "198.18.0.5", 30, False),
    ],
)
def test_ends_are_checked_when_a_tunnel_is_opened(pc: str, gateway: str, prefix_length: int, good: bool) -> None:
    if good:
        check_ends(IPv4Address(pc), IPv4Address(gateway), prefix_length)
    else:
        with pytest.raises(InputError, match="not two hosts of one"):
            check_ends(IPv4Address(pc), IPv4Address(gateway), prefix_length)


@pytest.mark.parametrize("taken", ["198.18.0.1", "10.10.1.2", "192.168.50.10"])
def test_tunnel_is_refused_when_an_end_is_in_use(taken: str) -> None:
    check_free([IPv4Address("198.18.0.6"), IPv4Address("198.18.0.5")], SURROUNDINGS)
    with pytest.raises(InputError, match=rf"^{taken} is in use on this PC already \((gl0|eth0)\): connect again$"):
        check_free([IPv4Address("198.18.0.6"), IPv4Address(taken)], SURROUNDINGS)


@pytest.mark.parametrize(
    ("text", "expected"), [("192.168.50.200", "192.168.50.200/32"), ("192.168.50.200/24", "192.168.50.200/24")]
)
def test_address_in_the_plant_is_taken_with_its_length_or_alone(text: str, expected: str) -> None:
    assert parse_plant(text) == IPv4Interface(expected)


@pytest.mark.parametrize(
    "text",
    [
        *("", "192.168.50.200/", "192.168.50.200/0", "192.168.50.200/7", "192.168.50.200/31", "192.168.50.200/x"),
        *("192.168.50.0/24", "192.168.50.255/24", "224.0.0.1/24", "127.0.0.1", "fe80::1/64", "192.168.50.200/24/24"),
    ],
)
def test_address_in_the_plant_is_refused_when_no_host_can_have_it(text: str) -> None:
    with pytest.raises(InputError, match="this PC's address in the plant"):
        parse_plant(text)

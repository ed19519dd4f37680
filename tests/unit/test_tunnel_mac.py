"""The MAC addresses of a tunnel's two ends."""

import pytest

from gatelink.tunnel_mac import tunnel_mac


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ("100.64.0.1", "02:67:6c:40:00:01"),
        ("100.127.255.254", "02:67:6c:7f:ff:fe"),
        ("10.0.0.0", "02:67:6c:00:00:00"),
    ],
)
def test_mac_holds_low_three_bytes_when_address_is_ipv4(address: str, mac: str) -> None:
    assert tunnel_mac(address) == mac


def test_ends_differ_when_they_are_on_one_segment() -> None:
    assert tunnel_mac("100.64.7.1") != tunnel_mac("100.64.7.2")


def test_mac_is_locally_administered_and_unicast() -> None:
    first = int(tunnel_mac("100.64.0.1").split(":")[0], 16)
    assert first & 0b11 == 0b10


@pytest.mark.parametrize("address", ["", "100.64.0", "fd00::1", "100.64.0.1/30", "plc"])
def test_mac_is_refused_when_address_is_not_ipv4(address: str) -> None:
    with pytest.raises(ValueError):
        tunnel_mac(address)

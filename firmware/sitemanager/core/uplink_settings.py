"""The settings of the ways out, and every mistake in them. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

MOST_UPLINKS: Final = 8
MOST_NAME_SERVERS: Final = 3
_PLAIN_WORD: Final = r"^[!#-&(-+./0-<>-~-]{0,64}$"
"""Printable, without the characters that ``mmcli`` gives a meaning: space, comma, equals sign, quotation marks."""
Kind = Literal["ethernet", "wifi", "modem"]


class UplinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A way out; the first in the list is the best."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    interface: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:@-]{1,15}$")]
    kind: Kind = "ethernet"
    dhcp: bool = False
    """Ask a DHCP server ourselves. Without it and without an address: what the system gave the interface."""
    address: Annotated[str, Meta(max_length=18)] = ""
    """Own fixed address and prefix, 10.20.1.2/24."""
    gateway: Annotated[str, Meta(max_length=15)] = ""
    """Of a fixed address."""
    dns: Annotated[tuple[Annotated[str, Meta(max_length=15)], ...], Meta(max_length=MOST_NAME_SERVERS)] = ()
    """Name servers to ask by this uplink, beside those that a DHCP server tells."""
    ssid: Annotated[str, Meta(max_length=32)] = ""
    """Of a Wi-Fi network to join by wpa_supplicant; empty: what the system does with the interface."""
    passphrase: Annotated[str, Meta(max_length=63)] = ""
    """Of that network (WPA2 or WPA3); empty: an open one."""
    apn: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    """Of a mobile network to connect to by ModemManager; empty: what the system does with the modem."""
    apn_user: Annotated[str, Meta(pattern=_PLAIN_WORD)] = ""
    apn_password: Annotated[str, Meta(pattern=_PLAIN_WORD)] = ""
    pin: Annotated[str, Meta(pattern=r"^([0-9]{4,8})?$")] = ""
    """Of the SIM."""


def uplink_mistakes(
    uplinks: Sequence[UplinkConfig], dev_interfaces: Sequence[str], dev_address: str = ""
) -> Iterator[str]:
    """Every mistake of these settings with its key path."""
    for index, uplink in enumerate(uplinks):
        path = f"uplinks[{index}]"
        if uplink.interface in dev_interfaces:
            yield f"{path}.interface: {uplink.interface} is the machine side"
        if uplink.interface in [other.interface for other in uplinks[:index]]:
            yield f"{path}.interface: {uplink.interface} is there twice"
        yield from _address_mistakes(path, uplink, dev_address)
        yield from _radio_mistakes(path, uplink)
        for server in uplink.dns:
            if not _is_host(server):
                yield f"{path}.dns: expected addresses like 10.20.1.1, got {server!r}"


def network_of(address: str) -> ipaddress.IPv4Network | None:
    """Return the network of an address with its prefix; None if it is none."""
    try:
        return ipaddress.IPv4Interface(address).network if "/" in address else None
    except ValueError:
        return None


def _address_mistakes(path: str, uplink: UplinkConfig, dev_address: str) -> Iterator[str]:
    if bool(uplink.address) != bool(uplink.gateway):
        yield f"{path}.gateway: address and gateway go together"
    if not uplink.address:
        return
    if uplink.dhcp:
        yield f"{path}.dhcp: either dhcp or a fixed address"
    network = network_of(uplink.address)
    if network is None or not 8 <= network.prefixlen <= 30 or not _is_host(uplink.address.partition("/")[0]):
        yield f"{path}.address: expected an address and its prefix like 10.20.1.2/24, got {uplink.address!r}"
        return
    own = ipaddress.IPv4Interface(uplink.address).ip
    if own in (network.network_address, network.broadcast_address):
        yield f"{path}.address: {own} is an edge of {network}, no address that a port can have"
    if uplink.gateway and not _is_host(uplink.gateway):
        yield f"{path}.gateway: expected an address like 10.20.1.1, got {uplink.gateway!r}"
    elif uplink.gateway and (ipaddress.IPv4Address(uplink.gateway) not in network or uplink.gateway == str(own)):
        yield f"{path}.gateway: {uplink.gateway} is not another address in {network}"
    machine = network_of(dev_address)
    if machine is not None and machine.overlaps(network):
        yield (
            f"{path}.address: {network} is the machine side's network as well (dev_address {dev_address}); "
            "the two must differ, or nobody knows on which side an address is"
        )


def _radio_mistakes(path: str, uplink: UplinkConfig) -> Iterator[str]:
    if uplink.kind != "wifi" and (uplink.ssid or uplink.passphrase):
        yield f"{path}.ssid: goes with kind wifi, not with {uplink.kind}"
    if len(uplink.ssid.encode()) > 32 or not uplink.ssid.isprintable():
        yield f"{path}.ssid: expected at most 32 bytes that can be printed"
    is_printable = all(" " <= character <= "~" for character in uplink.passphrase)
    if uplink.passphrase and (len(uplink.passphrase) < 8 or not is_printable or not uplink.ssid):
        yield f"{path}.passphrase: expected 8 to 63 characters of ASCII, and the ssid that they belong to"
    if uplink.kind != "modem" and (uplink.apn or uplink.apn_user or uplink.apn_password or uplink.pin):
        yield f"{path}.apn: goes with kind modem, not with {uplink.kind}"
    if uplink.kind == "modem" and not uplink.apn and (uplink.apn_user or uplink.apn_password or uplink.pin):
        yield f"{path}.apn: expected the access point's name, as the operator of the mobile network says it"
    if uplink.apn and uplink.address:
        yield f"{path}.address: a modem gets its address from the mobile network"


def _is_host(text: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return not (address.is_multicast or address.is_loopback or address.is_unspecified or address.is_reserved)

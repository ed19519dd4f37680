"""Whether what the GateManager asks for is sane on this host: addresses and services of a session.

The GateManager is trusted to say who may do what, not to know the networks here. What is refused has a code for
programs and a text that names the addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

import msgspec

from gatelink.exceptions import Refused
from gatelink.messages import DeviceAccess, Devices, Service, TunnelAddresses
from gatelink.messages.shapes import Mode

from .bridged_rules import is_bridgeable

OWN_PORTS: Final = (53, 67, 80, 443)
"""At the machine's side: names, addresses and the set-up page are never taken from a device."""


class HostNetwork(msgspec.Struct, frozen=True):
    """A network that this host reaches directly or has a route to; ``address`` is its own in it, if it has one."""

    network: ipaddress.IPv4Network
    interface: str
    address: ipaddress.IPv4Address | None = None


def admit_tunnel(tunnel: TunnelAddresses, networks: Sequence[HostNetwork]) -> None:
    """Raise Refused unless both tunnel addresses are hosts of one network that overlaps none of ours."""
    pc, gateway = _address(tunnel.pc, "tunnel"), _address(tunnel.gateway, "tunnel")
    segment = ipaddress.IPv4Network((gateway, tunnel.prefix_length), strict=False)
    edges = (segment.network_address, segment.broadcast_address)
    if pc == gateway or pc not in segment or pc in edges or gateway in edges or not _is_host(pc):
        raise Refused("bad-tunnel", f"the tunnel addresses {pc} and {gateway}/{tunnel.prefix_length} make no sense")
    for known in networks:
        if known.network.overlaps(segment) and known.network.prefixlen:
            raise Refused(
                "tunnel-overlap",
                f"the tunnel network {segment} overlaps {known.network} on {known.interface} of the SiteManager; "
                "let the GateManager use another tunnel range",
            )


def admit_devices(
    devices: Devices, networks: Sequence[HostNetwork], dev_interfaces: Sequence[str], mode: Mode = "routed"
) -> None:
    """Raise Refused unless every device can be one: not this host, no special address, services that make sense."""
    if not dev_interfaces:
        raise Refused(
            "no-machine-side",
            "this SiteManager does not know its machine side yet; set it there: sm config set dev_interfaces eth1",
        )
    if mode == "bridged" and not any(is_bridgeable(device) for device in devices):
        raise Refused(
            "no-mac",
            "none of the granted devices has a MAC address at the GateManager: bridged sessions are filtered by it; "
            "scan and enter it there",
        )
    seen: set[str] = set()
    for device in devices:
        _admit_device(device, networks)
        if device.virtual_address in seen:
            raise Refused("bad-device", f"device {device.name!r}: {device.virtual_address} is another one's as well")
        seen.update({device.virtual_address} - {""})
        for service in device.services:
            _admit_service(device, service)
        _admit_pushes(device, mode)


def _admit_device(device: DeviceAccess, networks: Sequence[HostNetwork]) -> None:
    if device.virtual_address:
        virtual = _address(device.virtual_address, f"device {device.name!r}")
        if not _is_host(virtual):
            raise Refused("bad-device", f"device {device.name!r}: {virtual} is no address that a device can have")
    if device.serial_port:
        _admit_serial(device, networks)
        return
    address = _address(device.address, f"device {device.name!r}")
    if not _is_host(address):
        raise Refused("bad-device", f"device {device.name!r}: {address} is no address that a device can have")
    for known in networks:
        if address == known.address:
            raise Refused(
                "own-address",
                f"device {device.name!r}: {address} is the SiteManager's own address on {known.interface}",
            )
        edges = (known.network.network_address, known.network.broadcast_address)
        if known.address is not None and known.network.prefixlen < 31 and address in edges:
            raise Refused("bad-device", f"device {device.name!r}: {address} is an edge of the network {known.network}")


def _admit_serial(device: DeviceAccess, networks: Sequence[HostNetwork]) -> None:
    """Its virtual address becomes one of this host's: nothing here may lose its own by that."""
    virtual = _address(device.virtual_address, f"serial port {device.name!r}")
    for known in networks:
        if virtual in known.network and known.network.prefixlen not in (0, 32):
            raise Refused(
                "virtual-overlap",
                f"serial port {device.name!r}: {virtual} is in the network {known.network} on {known.interface} of the "
                "SiteManager; let the GateManager use another virtual_network",
            )


def _admit_service(device: DeviceAccess, service: Service) -> None:
    if service.protocol in ("icmp", "ethernet"):
        return
    if not 1 <= service.first_port <= service.last_port:
        raise Refused(
            "bad-service",
            f"device {device.name!r}, service {service.name!r}: ports {service.first_port} to {service.last_port} "
            "make no sense; the first must be at least 1 and not above the last",
        )


def _admit_pushes(device: DeviceAccess, mode: Mode) -> None:
    ports = [push.port for push in device.pushes]
    if ports and (mode == "bridged" or not device.address):
        raise Refused("bad-push", f"device {device.name!r}: only one with an address, in a routed session, can push")
    for port in ports:
        if port in OWN_PORTS or ports.count(port) > 1:
            text = "twice" if ports.count(port) > 1 else "the SiteManager's own"
            raise Refused("bad-push", f"device {device.name!r}: the port {port} for pushes is {text}")


def _address(text: str, what: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise Refused("bad-address", f"{what}: {text!r} is no IPv4 address") from None


def _is_host(address: ipaddress.IPv4Address) -> bool:
    """Neither 0.0.0.0/8, loopback, multicast, 240.0.0.0/4 nor the limited broadcast."""
    special = address.is_loopback or address.is_multicast or address.is_reserved or address.is_unspecified
    return not special and int(address) >> 24 != 0

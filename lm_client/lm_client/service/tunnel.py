"""The life of one caller's connection: one tunnel, and nothing of it is left when the connection is over."""

from __future__ import annotations

import contextlib
import threading
from ipaddress import IPv4Address, IPv4Interface
from typing import Final, Generic

import msgspec

from gatelink.exceptions import GatelinkError, InputError, ProtocolError
from gatelink.frames import FrameReader, encode_frame
from lm_client.exceptions import HostError
from lm_client.host import A, Bridge, NameRegistry, Network
from lm_client.streams import Stream

from .protocol import (
    MAX_REQUEST_BYTES,
    Answer,
    ChangeRoutes,
    CloseTunnel,
    HostName,
    OpenTunnel,
    Request,
    RoutesChanged,
    ServiceRefusal,
    TunnelClosed,
    TunnelOpened,
    decode_request,
    encode,
)
from .rules import (
    check_bridged,
    check_destinations,
    check_ends,
    check_free,
    check_names,
    parse_address,
    parse_host,
    parse_plant,
)

_READ_BYTES: Final = 4096
_SEND_TIMEOUT_S: Final = 5.0


class Tunnel(Generic[A]):
    """Serves one connection. ``lock`` is one for all tunnels: what is checked still holds when it is applied."""

    def __init__(self, connection: Stream, network: Network[A], names: NameRegistry, lock: threading.Lock) -> None:
        self._connection = connection
        self._network = network
        self._names = names
        self._lock = lock
        self._adapter: A | None = None

    def serve(self) -> str:
        """Answer until the caller is gone; return why it ended. The adapter is removed in every case."""
        reader = FrameReader(MAX_REQUEST_BYTES)
        try:
            while data := self._connection.recv(_READ_BYTES):
                for payload in reader.receive_data(data):
                    self._send(self._answer(_decode(payload)))
        except GatelinkError as error:
            self.remove()
            with contextlib.suppress(OSError):
                self._send(ServiceRefusal(text=str(error)))
            return str(error)
        except OSError as error:
            return error.strerror or str(error)
        finally:
            self.remove()
            self._connection.close()
        return "closed by the caller"

    def end(self) -> None:
        """Remove adapter and routes and hang up on the caller. Any thread."""
        self.remove()
        self._connection.hang_up()

    def remove(self) -> None:
        """Remove adapter and routes. Idempotent, any thread."""
        with self._lock:
            adapter, self._adapter = self._adapter, None
            if adapter is not None:
                with contextlib.suppress(HostError):  # the listener's next start removes what is left
                    self._names.remove(adapter.name)
                self._network.remove(adapter)

    def _answer(self, request: Request) -> Answer:
        if isinstance(request, CloseTunnel):
            self.remove()
            return TunnelClosed()
        with self._lock:
            return self._open(request) if isinstance(request, OpenTunnel) else self._change(request)

    def _open(self, request: OpenTunnel) -> TunnelOpened:
        if self._adapter is not None:
            raise InputError("this connection has its tunnel already: use another connection for another one")
        pc, gateway = parse_host(request.pc, "the PC's end"), parse_host(request.gateway, "the gateway's end")
        check_ends(pc, gateway, request.prefix_length)
        plant = parse_plant(request.plant_address) if request.plant_address else None
        check_bridged(plant, bridged=request.bridged, has_devices=bool(request.devices))
        ends = (pc, gateway, *(_taken_by(plant) if plant else ()))
        warnings, devices = self._check(request.devices, request.keep_clear, ends, "")
        check_names(request.names, devices)
        bridge = Bridge(plant) if request.bridged else None
        self._adapter = self._network.open(request.label, pc, gateway, request.mtu_bytes, bridge)
        self._network.apply(self._adapter, devices)
        warnings += self._name(self._adapter, request.names, request.dns_port)
        return TunnelOpened(interface=self._adapter.name, warnings=tuple(warnings))

    def _change(self, request: ChangeRoutes) -> RoutesChanged:
        adapter = self._adapter
        if adapter is None:
            raise InputError("there is no tunnel whose routes could be changed")
        ends = (adapter.pc, adapter.gateway)
        warnings, devices = self._check(request.devices, request.keep_clear, ends, adapter.name)
        check_names(request.names, devices)
        self._network.apply(adapter, devices)
        warnings += self._name(adapter, request.names, request.dns_port)
        return RoutesChanged(warnings=tuple(warnings))

    def _name(self, adapter: A, names: tuple[HostName, ...], dns_port: int) -> list[str]:
        """Names are a convenience: a PC on which they cannot be set has its tunnel all the same."""
        try:
            self._names.apply(adapter.name, names, dns_port)
        except HostError as error:
            return [f"the devices' names are not known on this PC: {error}"]
        return []

    def _check(
        self, devices: tuple[str, ...], keep_clear: tuple[str, ...], ends: tuple[IPv4Address, ...], own: str
    ) -> tuple[list[str], list[IPv4Address]]:
        destinations = [parse_host(device, "a device") for device in devices]
        clear = [parse_address(address, "an address to keep clear") for address in keep_clear]
        if len({*destinations, *ends}) != len(destinations) + len(ends):
            raise InputError("an address is there twice among the devices and the ends of the tunnel")
        routes = self._network.routes()
        if not own:
            check_free(ends[:2], routes)
        check_destinations(ends, clear, routes, own)
        return check_destinations(destinations, clear, routes, own), destinations

    def _send(self, answer: Answer) -> None:
        if isinstance(answer, TunnelOpened) and self._adapter is not None:
            number = self._connection.hand_over(self._adapter.descriptor)
            answer = msgspec.structs.replace(answer, adapter=number)
        self._connection.settimeout(_SEND_TIMEOUT_S)
        self._connection.sendall(encode_frame(encode(answer)))
        self._connection.settimeout(None)


def _taken_by(plant: IPv4Interface) -> set[IPv4Address]:
    """The addresses that lead to the adapter beside the devices': the broadcast address where the length is known."""
    return {plant.ip, plant.network.broadcast_address}


def _decode(payload: bytes) -> Request:
    try:
        return decode_request(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a request of this service: {error}") from None

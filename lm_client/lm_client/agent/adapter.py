"""A TAP adapter with its routes, as the service with rights gives it: this end of the connection to it.

Everything here blocks for some milliseconds and is meant for a thread, but ``watch`` and ``unwatch``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from gatelink.exceptions import ProtocolError, TapError
from gatelink.frames import FrameReader, encode_frame
from gatelink.messages import TunnelAddresses
from gatelink.tunnel.devices import FrameDevice, TapLike
from lm_client.exceptions import ServiceError
from lm_client.host import here
from lm_client.service.protocol import (
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
    decode_answer,
    encode,
)
from lm_client.streams import Stream, connect
from lm_client.streams.watch import Watch

MTU_BYTES: Final = 1500
_TIMEOUT_S: Final = 30.0
_READ_BYTES: Final = 64 * 1024
_START: Final = (
    "start `lm service`, with the Debian package by `sudo systemctl start gatelink-lm`"
    if sys.platform != "win32"
    else "start the Windows service gatelink-lm, in an administrator's console by `sc start gatelink-lm`"
)
A = TypeVar("A", bound=Answer)
TakeTap = Callable[[int], TapLike | FrameDevice]
"""Makes a TAP of the descriptor that came from the service."""


class Plan(NamedTuple):
    """What is to lead through an adapter."""

    devices: tuple[str, ...]
    keep_clear: tuple[str, ...] = ()
    names: Mapping[str, str] = {}
    """Addresses among ``devices`` by host name."""
    dns_port: int = 0
    bridged: bool = False
    plant_address: str = ""
    """As in ``OpenTunnel``."""

    @property
    def host_names(self) -> tuple[HostName, ...]:
        """As the service wants them."""
        return tuple(HostName(name, address) for name, address in self.names.items())


class Adapter:
    """An open adapter; made by ``open_adapter``."""

    def __init__(self, connection: Stream, opened: TunnelOpened, descriptor: int, take: TakeTap) -> None:
        self._connection = connection
        self._descriptor = descriptor
        self._watch = Watch(connection)
        self.interface = opened.interface
        self.warnings = opened.warnings
        self.tap = take(descriptor)

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Be told in the event loop when the service is gone; until ``unwatch``."""
        self._watch.start(on_lost)

    def unwatch(self) -> None:
        """Not any more: answers are expected. Idempotent."""
        self._watch.stop()

    def change_routes(self, plan: Plan) -> tuple[str, ...]:
        """Set the full new state; return warnings. Raises ServiceError, and then the adapter is gone."""
        request = ChangeRoutes(
            devices=plan.devices, keep_clear=plan.keep_clear, names=plan.host_names, dns_port=plan.dns_port
        )
        return _ask(self._connection, request, RoutesChanged).warnings

    def drain(self) -> None:
        """Throw away what waited in the adapter's queue while there was no tunnel: it is late, TCP sends it again."""
        here.drain(self._descriptor, self.tap)

    def remove(self) -> None:
        """Remove interface and routes; they are gone when this returns. The descriptor stays open until ``close``."""
        with contextlib.suppress(ServiceError):
            _ask(self._connection, CloseTunnel(), TunnelClosed)
        self._connection.close()

    def close(self) -> None:
        """Close the descriptor; only when no pump uses it any more."""
        self._connection.close()
        if self._descriptor >= 0:
            here.close_tap(self._descriptor, self.tap)
            self._descriptor = -1


def open_adapter(
    path: Path,
    label: str,
    tunnel: TunnelAddresses,
    plan: Plan,
    take: TakeTap = here.take_tap,
) -> Adapter:
    """Ask the service at ``path``; raises ServiceError with one line that says what to do."""
    request = OpenTunnel(
        label=label,
        pc=tunnel.pc,
        gateway=tunnel.gateway,
        prefix_length=tunnel.prefix_length,
        mtu_bytes=MTU_BYTES,
        devices=plan.devices,
        keep_clear=plan.keep_clear,
        names=plan.host_names,
        dns_port=plan.dns_port,
        bridged=plan.bridged,
        plant_address=plan.plant_address,
    )
    try:
        connection = connect(path, _TIMEOUT_S)
    except OSError as error:
        raise ServiceError(f"the service with rights is not at {path} ({error.strerror}): {_START}") from None
    descriptor: int | None = None
    try:
        opened = _ask(connection, request, TunnelOpened)
        descriptor = connection.taken(opened.adapter)
        if descriptor is None:
            raise ServiceError("the service with rights sent no TAP adapter: install one version of everything")
        return Adapter(connection, opened, descriptor, take)
    except BaseException as error:
        connection.close()
        if descriptor is not None:
            here.close_tap(descriptor, None)
        if isinstance(error, TapError):
            raise ServiceError(f"the service with rights sent something that is no TAP adapter: {error}") from None
        raise


def _ask(connection: Stream, request: Request, kind: type[A]) -> A:
    reader = FrameReader()
    try:
        with contextlib.suppress(ConnectionError):  # who refuses may have hung up already: what he said can be read
            connection.sendall(encode_frame(encode(request)))
        payloads: list[bytes] = []
        while not payloads:
            data = connection.recv(_READ_BYTES)
            if not data:
                raise ServiceError("the service with rights has ended: start it again")
            payloads = reader.receive_data(data)
        answer = decode_answer(payloads[0])
    except TimeoutError:
        raise ServiceError(f"the service with rights did not answer within {_TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise ServiceError(f"the service with rights has ended ({error.strerror}): start it again") from None
    except (msgspec.MsgspecError, ProtocolError):
        raise ServiceError("the service with rights does not speak our language: install one version") from None
    if isinstance(answer, kind):
        return answer
    if isinstance(answer, ServiceRefusal):
        raise ServiceError(answer.text)
    raise ServiceError(f"the service with rights answered {type(answer).__name__} where {kind.__name__} was expected")

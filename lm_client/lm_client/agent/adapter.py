"""A TAP adapter with its routes, as the service with rights gives it: this end of its socket.

Everything here blocks for some milliseconds and is meant for a thread; ``fileno`` becomes readable when the service is
gone.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from gatelink.exceptions import ProtocolError, TapError
from gatelink.frames import FrameReader, encode_frame
from gatelink.messages import TunnelAddresses
from gatelink.tunnel.devices import FrameDevice, TapLike
from gatelink.tunnel.tap import Tap
from lm_client.exceptions import ServiceError
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

MTU_BYTES: Final = 1500
_TIMEOUT_S: Final = 30.0
_READ_BYTES: Final = 64 * 1024
_DRAIN_FRAMES: Final = 4096
"""Far above the adapter's queue: only bounds the loop."""
_FRAME_BYTES: Final = 128 * 1024
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

    @property
    def host_names(self) -> tuple[HostName, ...]:
        """As the service wants them."""
        return tuple(HostName(name, address) for name, address in self.names.items())


class Adapter:
    """An open adapter; made by ``open_adapter``."""

    def __init__(self, connection: socket.socket, opened: TunnelOpened, descriptor: int, take: TakeTap) -> None:
        self._connection = connection
        self._descriptor = descriptor
        self.interface = opened.interface
        self.warnings = opened.warnings
        self.tap = take(descriptor)

    def fileno(self) -> int:
        """The service's socket."""
        return self._connection.fileno()

    @property
    def is_alive(self) -> bool:
        """Whether the service still holds its end."""
        try:
            return self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def change_routes(self, plan: Plan) -> tuple[str, ...]:
        """Set the full new state; return warnings. Raises ServiceError, and then the adapter is gone."""
        request = ChangeRoutes(
            devices=plan.devices, keep_clear=plan.keep_clear, names=plan.host_names, dns_port=plan.dns_port
        )
        return _ask(self._connection, request, RoutesChanged)[0].warnings

    def drain(self) -> None:
        """Throw away what waited in the adapter's queue while there was no tunnel: it is late, TCP sends it again."""
        with contextlib.suppress(OSError):
            for _ in range(_DRAIN_FRAMES):
                os.read(self._descriptor, _FRAME_BYTES)

    def remove(self) -> None:
        """Remove interface and routes; they are gone when this returns. The descriptor stays open until ``close``."""
        with contextlib.suppress(ServiceError):
            _ask(self._connection, CloseTunnel(), TunnelClosed)
        self._connection.close()

    def close(self) -> None:
        """Close the descriptor; only when no pump uses it any more."""
        self._connection.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_adapter(
    path: Path,
    label: str,
    tunnel: TunnelAddresses,
    plan: Plan,
    take: TakeTap = Tap,
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
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptors: list[int] = []
    try:
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(str(path))
        except OSError as error:
            raise ServiceError(
                f"the service with rights is not at {path} ({error.strerror}): start `lm service`"
            ) from None
        opened, descriptors = _ask(connection, request, TunnelOpened)
        if len(descriptors) != 1:
            raise ServiceError("the service with rights sent no TAP adapter: install one version of everything")
        return Adapter(connection, opened, descriptors[0], take)
    except BaseException as error:
        connection.close()
        for descriptor in descriptors:
            os.close(descriptor)
        if isinstance(error, TapError):
            raise ServiceError(f"the service with rights sent something that is no TAP adapter: {error}") from None
        raise


def _ask(connection: socket.socket, request: Request, kind: type[A]) -> tuple[A, list[int]]:
    reader = FrameReader()
    descriptors: list[int] = []
    try:
        connection.sendall(encode_frame(encode(request)))
        payloads: list[bytes] = []
        while not payloads:
            data, received, _, _ = socket.recv_fds(connection, _READ_BYTES, 1)
            descriptors += received
            if not data:
                raise ServiceError("the service with rights has ended: start it again")
            payloads = reader.receive_data(data)
        answer = decode_answer(payloads[0])
        if isinstance(answer, kind):
            return answer, descriptors
        if isinstance(answer, ServiceRefusal):
            raise ServiceError(answer.text)
        raise ServiceError(
            f"the service with rights answered {type(answer).__name__} where {kind.__name__} was expected"
        )
    except BaseException as error:
        for descriptor in descriptors:
            os.close(descriptor)
        if isinstance(error, TimeoutError):
            raise ServiceError(f"the service with rights did not answer within {_TIMEOUT_S:.0f} s") from None
        if isinstance(error, OSError):
            raise ServiceError(f"the service with rights has ended ({error.strerror}): start it again") from None
        if isinstance(error, msgspec.MsgspecError | ProtocolError):
            raise ServiceError("the service with rights does not speak our language: install one version") from None
        raise

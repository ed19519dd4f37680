"""Where the service listens: who connects gets a thread of his own and is looked at; everything is bounded."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, Protocol

from gatelink.frames import encode_frame
from lm_client.exceptions import HostError, ServiceError
from lm_client.host import A, NameRegistry, Network
from lm_client.streams import Caller, Stream, listen

from .protocol import ServiceRefusal, encode
from .tunnel import Tunnel

MAX_TUNNELS: Final = 64
MAX_TUNNELS_PER_USER: Final = 32
_MAX_CONNECTIONS: Final = 2 * MAX_TUNNELS
"""Also those that are still looked at."""
_REFUSAL_S: Final = 5.0


class Callers(Protocol):
    """Who may use the service."""

    def may(self, caller: Caller) -> bool:
        """Whether this user may have tunnels."""

    def advice(self, caller: Caller) -> str:
        """Return what is to be done for a user who may not."""


class Listener(Generic[A]):
    """Listens from construction on. Raises ServiceError if another service has the socket or it cannot be made."""

    def __init__(
        self, path: Path, network: Network[A], names: NameRegistry, callers: Callers, say: Callable[[str], None]
    ) -> None:
        self._network = network
        self._names = names
        self._callers = callers
        self._say = say
        self._lock = threading.Lock()
        self._count_lock = threading.Lock()
        self._tunnels: dict[Tunnel[A], Caller] = {}
        self._is_closing = False
        self._places = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self._path = path
        try:
            self._endpoint = listen(path, for_everybody=True)
        except BlockingIOError:
            raise ServiceError(f"another lm service has {path}: end it, or use another --socket") from None
        except OSError as error:
            raise ServiceError(f"cannot listen on {path}: {error.strerror}; run as root, or use --socket") from None

    def run(self) -> None:
        """Serve until ``close`` (from another thread or a signal handler)."""
        for name in self._network.clean_up():
            self._say(f"removed {name}, left by an earlier run")
        try:
            for name in self._names.clean_up():
                self._say(f"removed {name}, left by an earlier run")
        except HostError as error:
            self._say(str(error))
        self._say(f"listening on {self._path}")
        with contextlib.suppress(OSError):
            while True:
                connection = self._endpoint.accept()
                if self._places.acquire(blocking=False):
                    threading.Thread(target=self._receive, args=(connection,), daemon=True).start()
                else:
                    connection.close()

    def close(self) -> None:
        """Stop listening and remove every tunnel."""
        with self._count_lock:
            self._is_closing = True
            tunnels = list(self._tunnels)
        for tunnel in tunnels:
            tunnel.end()
        self._endpoint.close()

    def _receive(self, connection: Stream) -> None:
        try:
            caller = connection.caller
            tunnel = Tunnel(connection, self._network, self._names, self._lock)
            with self._count_lock:
                refusal = self._refusal(caller)
                if not refusal:
                    self._tunnels[tunnel] = caller
            if refusal:
                self._refuse(connection, caller, refusal)
            else:
                self._serve(tunnel, caller)
        except OSError as error:
            self._say(f"somebody who connected cannot be served: {error.strerror or error}")
            connection.close()
        finally:
            self._places.release()

    def _refuse(self, connection: Stream, caller: Caller, refusal: str) -> None:
        self._say(f"{_name(caller)} refused: {refusal}")
        with contextlib.suppress(OSError):
            connection.settimeout(_REFUSAL_S)
            connection.sendall(encode_frame(encode(ServiceRefusal(text=refusal))))
        connection.close()

    def _refusal(self, caller: Caller) -> str:
        if self._is_closing:
            return "the service with rights ends: try again"
        if not self._callers.may(caller):
            return self._callers.advice(caller)
        if len(self._tunnels) >= MAX_TUNNELS or Counter(self._tunnels.values())[caller] >= MAX_TUNNELS_PER_USER:
            return f"too many tunnels: at most {MAX_TUNNELS_PER_USER} for a user and {MAX_TUNNELS} in all"
        return ""

    def _serve(self, tunnel: Tunnel[A], caller: Caller) -> None:
        self._say(f"{_name(caller)} connected")
        try:
            self._say(f"{_name(caller)} done: {tunnel.serve()}")
        finally:
            with self._count_lock:
                self._tunnels.pop(tunnel, None)


def _name(caller: Caller) -> str:
    return f"uid {caller}" if isinstance(caller, int) else caller

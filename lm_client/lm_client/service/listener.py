"""The service's socket: who connects is looked at, then gets a thread of his own; everything is bounded."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic

from gatelink.frames import encode_frame
from lm_client.exceptions import HostError, ServiceError
from lm_client.host import A, NameRegistry, Network

from .callers import Callers
from .protocol import ServiceRefusal, encode
from .tunnel import Tunnel

MAX_TUNNELS: Final = 64
MAX_TUNNELS_PER_USER: Final = 32
_BACKLOG: Final = 16


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
        self._tunnels: dict[Tunnel[A], int] = {}
        self._path = path
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._own = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._own, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.bind(str(path))
            path.chmod(0o666)  # who may is decided by SO_PEERCRED
            self._socket.listen(_BACKLOG)
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
                connection, _ = self._socket.accept()
                self._receive(connection)

    def close(self) -> None:
        """Stop listening and remove every tunnel."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)
        for tunnel in list(self._tunnels):
            tunnel.end()
        os.close(self._own)

    def _receive(self, connection: socket.socket) -> None:
        uid = self._callers.uid_of(connection)
        tunnel = Tunnel(connection, self._network, self._names, self._lock)
        with self._count_lock:
            refusal = self._refusal(uid)
            if not refusal:
                self._tunnels[tunnel] = uid
        if refusal:
            self._say(f"uid {uid} refused: {refusal}")
            with contextlib.suppress(OSError), connection:
                connection.sendall(encode_frame(encode(ServiceRefusal(text=refusal))))
            return
        threading.Thread(target=self._serve, args=(tunnel, uid), daemon=True).start()

    def _refusal(self, uid: int) -> str:
        if not self._callers.may(uid):
            return f"user {uid} may not have tunnels: add the user to the group gatelink, or use lm service --allow-uid"
        if len(self._tunnels) >= MAX_TUNNELS or Counter(self._tunnels.values())[uid] >= MAX_TUNNELS_PER_USER:
            return f"too many tunnels: at most {MAX_TUNNELS_PER_USER} for a user and {MAX_TUNNELS} in all"
        return ""

    def _serve(self, tunnel: Tunnel[A], uid: int) -> None:
        self._say(f"uid {uid} connected")
        try:
            self._say(f"uid {uid} done: {tunnel.serve()}")
        finally:
            with self._count_lock:
                self._tunnels.pop(tunnel, None)

"""Ends of a tunnel for tests of the pumps: one that runs in a thread, one that is spoken by hand, TLS between them."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gatelink.tunnel.fake import FakeTap, TapFrames
from gatelink.tunnel.framing import CONTROL_BIT, LENGTH, Control, decode_control, encode_control
from gatelink.tunnel.near_end import NearEnd, PumpEnd, PumpHooks, PumpSettings
from gatelink.tunnel.portable_pump import PortablePump
from gatelink.tunnel.pump import Pump

DEADLINE_S = 60.0
TlsPair = Callable[[], tuple[ssl.SSLSocket, ssl.SSLSocket]]
MakePump = Callable[..., NearEnd]


class Clock:
    """Time stands until the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Running:
    """A pump in its thread."""

    def __init__(self, pump: NearEnd) -> None:
        self.pump = pump
        self._ends: list[PumpEnd] = []
        self._thread = threading.Thread(target=lambda: self._ends.append(pump.run()))
        self._thread.start()

    def end(self) -> PumpEnd:
        """Wait for it to end by itself."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the pump did not end"
        return self._ends[0]

    def close(self) -> None:
        self.pump.stop("test over")
        self._thread.join(DEADLINE_S)


class FarEnd:
    """The far end, spoken by hand."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self.tls = tls
        tls.settimeout(DEADLINE_S)

    def send(self, *messages: Control | bytes) -> None:
        parts = (
            LENGTH.pack(len(item)) + item if isinstance(item, bytes) else encode_control(item) for item in messages
        )
        self.tls.sendall(b"".join(parts))

    def receive(self) -> Control | bytes:
        (word,) = LENGTH.unpack(self._exactly(4))
        payload = self._exactly(word & ~CONTROL_BIT)
        return decode_control(payload) if word & CONTROL_BIT else payload

    def receive_until(self, kind: type[Control]) -> Control:
        while not isinstance(found := self.receive(), kind):
            pass
        return found

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self.tls.recv(size - len(found))
            assert part, "the pump closed the connection"
            found += part
        return found


def write_key(path: Path) -> None:
    """Write a key and its self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "end")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))


@contextmanager
def tls_pairs(key_file: Path) -> Iterator[TlsPair]:
    """What makes two ends of one TLS connection over loopback TCP; they are closed at the end."""
    made: list[ssl.SSLSocket] = []

    def make() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(key_file)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        accepted: list[ssl.SSLSocket] = []
        thread = threading.Thread(target=lambda: accepted.append(server.wrap_socket(far, server_side=True)))
        thread.start()
        connected = client.wrap_socket(near)
        thread.join(DEADLINE_S)
        made.extend([connected, *accepted])
        return connected, accepted[0]

    yield make
    for tls in made:
        tls.close()


_made: list[TapFrames] = []


def portable_pump(
    tap: FakeTap,
    tls: ssl.SSLSocket,
    settings: PumpSettings | None = None,
    hooks: PumpHooks | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> NearEnd:
    """Make the portable pump as the other one is made; ``close_frames`` gives back what it took."""
    frames = TapFrames(tap)
    _made.append(frames)
    return PortablePump(frames, tls, settings, hooks, clock=clock)


def close_frames() -> None:
    """After the pumps have ended."""
    while _made:
        _made.pop().close()


KINDS: list[MakePump] = [Pump, portable_pump]

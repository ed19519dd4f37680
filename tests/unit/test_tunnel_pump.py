"""The pumps with real TLS over loopback and a fake TAP: what they carry, how they end, what a hostile far end can do.

Every test runs with the pump of Linux and with the portable one, two pumps also with one of each.
"""

from __future__ import annotations

import datetime
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gatelink.exceptions import TapError
from gatelink.tunnel.fake import FakeTap, TapFrames
from gatelink.tunnel.framing import (
    CONTROL_BIT,
    LENGTH,
    MAX_DATA_BYTES,
    Control,
    End,
    Hello,
    Ping,
    Pong,
    decode_control,
    encode_control,
)
from gatelink.tunnel.near_end import NearEnd
from gatelink.tunnel.offload import ALL, Offload
from gatelink.tunnel.portable_pump import ROW_FRAMES, FrameRow, PortablePump
from gatelink.tunnel.pump import EndReason, Pump, PumpEnd, PumpHooks, PumpSettings

_DEADLINE_S = 10.0


class _Clock:
    """Time stands until the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Running:
    """A pump in its thread."""

    def __init__(self, pump: NearEnd) -> None:
        self.pump = pump
        self._ends: list[PumpEnd] = []
        self._thread = threading.Thread(target=lambda: self._ends.append(pump.run()))
        self._thread.start()

    def end(self) -> PumpEnd:
        """Wait for it to end by itself."""
        self._thread.join(_DEADLINE_S)
        assert not self._thread.is_alive(), "the pump did not end"
        return self._ends[0]

    def close(self) -> None:
        self.pump.stop("test over")
        self._thread.join(_DEADLINE_S)


class _FarEnd:
    """The far end, spoken by hand."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self.tls = tls
        tls.settimeout(_DEADLINE_S)

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


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its self-signed certificate."""
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
    path = tmp_path_factory.mktemp("key") / "end.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


TlsPair = Callable[[], tuple[ssl.SSLSocket, ssl.SSLSocket]]
MakePump = Callable[..., NearEnd]


def _portable(
    tap: FakeTap,
    tls: ssl.SSLSocket,
    settings: PumpSettings | None = None,
    hooks: PumpHooks | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> NearEnd:
    frames = TapFrames(tap)
    _made.append(frames)
    return PortablePump(frames, tls, settings, hooks, clock=clock)


_made: list[TapFrames] = []
_KINDS: list[MakePump] = [Pump, _portable]


@pytest.fixture(autouse=True)
def _closed_frames() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()


@pytest.fixture(params=_KINDS, ids=["linux", "portable"])
def make_pump(request: pytest.FixtureRequest) -> MakePump:
    """One kind of pump and the other."""
    found: MakePump = request.param
    return found


@pytest.fixture
def tls_pair(key_file: Path) -> Iterator[TlsPair]:
    """Makes two ends of one TLS connection over loopback TCP."""
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
        thread.join(_DEADLINE_S)
        made.extend([connected, *accepted])
        return connected, accepted[0]

    yield make
    for tls in made:
        tls.close()


@pytest.fixture
def tap() -> Iterator[FakeTap]:
    found = FakeTap()
    yield found
    found.close()


@pytest.fixture
def far_tap() -> Iterator[FakeTap]:
    found = FakeTap("fake1")
    yield found
    found.close()


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def alone(tls_pair: TlsPair, tap: FakeTap, clock: _Clock, make_pump: MakePump) -> Iterator[tuple[_Running, _FarEnd]]:
    """One pump whose far end is the test."""
    near, far = tls_pair()
    running = _Running(make_pump(tap, near, clock=clock))
    yield running, _FarEnd(far)
    running.close()


@pytest.fixture
def greeted(alone: tuple[_Running, _FarEnd]) -> tuple[_Running, _FarEnd]:
    """The same after both Hellos and the pump's first Ping."""
    _running, far = alone
    assert isinstance(far.receive(), Hello)
    far.send(Hello())
    assert isinstance(far.receive(), Ping)
    return alone


@pytest.fixture(
    params=[(Pump, Pump), (_portable, Pump), (_portable, _portable)],
    ids=["linux", "portable-linux", "portable"],
)
def both(
    tls_pair: TlsPair, tap: FakeTap, far_tap: FakeTap, request: pytest.FixtureRequest
) -> Iterator[tuple[_Running, _Running]]:
    """Two pumps with each other."""
    near, far = tls_pair()
    up = [threading.Event(), threading.Event()]
    runnings = [
        _Running(make(its_tap, tls, hooks=PumpHooks(on_up=lambda _hello, event=event: event.set())))  # type: ignore[misc]
        for make, its_tap, tls, event in (
            (request.param[0], tap, near, up[0]),
            (request.param[1], far_tap, far, up[1]),
        )
    ]
    assert all(event.wait(_DEADLINE_S) for event in up)
    yield runnings[0], runnings[1]
    for running in runnings:
        running.close()


def test_frames_arrive_both_ways_when_the_tunnel_is_up(
    both: tuple[_Running, _Running], tap: FakeTap, far_tap: FakeTap
) -> None:
    for size in (14, 60, 1514, 9000, 60_000):
        tap.host.send(b"u" * size)
        assert far_tap.host.recv(70_000) == b"u" * size
        far_tap.host.send(b"d" * size)
        assert tap.host.recv(70_000) == b"d" * size
    both[0].pump.stop()
    end = both[0].end()
    assert end.frames_sent == end.frames_received == 5
    assert end.bytes_sent > 70_000


def test_nothing_is_lost_when_much_is_sent_at_once(
    both: tuple[_Running, _Running], tap: FakeTap, far_tap: FakeTap
) -> None:
    frames = [bytes([number % 256]) * (14 + number * 37 % 5000) for number in range(2000)]

    def send() -> None:
        for frame in frames:
            tap.host.send(frame)

    thread = threading.Thread(target=send)
    thread.start()
    assert [far_tap.host.recv(70_000) for _ in frames] == frames
    thread.join()
    assert both[0].pump.counters.frames_dropped == 0


def test_far_end_is_told_why_when_a_pump_is_stopped(both: tuple[_Running, _Running]) -> None:
    near, far = both
    near.pump.stop("the grant has ended")
    assert near.end().reason is EndReason.STOPPED
    end = far.end()
    assert (end.reason, end.detail) == (EndReason.FAR_END, "the grant has ended")


def test_round_trip_is_measured_when_the_tunnel_comes_up(
    both: tuple[_Running, _Running], tap: FakeTap, far_tap: FakeTap
) -> None:
    near, _far = both
    # The Ping goes before this frame, and its Pong before the answer.
    tap.host.send(b"x" * 60)
    far_tap.host.recv(100)
    far_tap.host.send(b"x" * 60)
    tap.host.recv(100)
    rtt_s = near.pump.counters.rtt_s
    assert rtt_s is not None
    assert 0 < rtt_s < _DEADLINE_S


def test_ping_is_answered_with_its_token_when_it_comes(greeted: tuple[_Running, _FarEnd]) -> None:
    _running, far = greeted
    far.send(Ping(b"abcdefgh"))
    assert far.receive() == Pong(b"abcdefgh")


def test_tunnel_ends_when_no_hello_comes_in_time(alone: tuple[_Running, _FarEnd], clock: _Clock) -> None:
    running, far = alone
    assert isinstance(far.receive(), Hello)  # its clock was read by then
    clock.now += 10.0
    running.pump.poke()
    end = running.end()
    assert end.reason is EndReason.PROTOCOL
    assert "Hello" in end.detail


def test_ping_goes_out_when_an_interval_has_passed(greeted: tuple[_Running, _FarEnd], clock: _Clock) -> None:
    running, far = greeted
    clock.now += 25.0
    running.pump.poke()
    assert isinstance(far.receive(), Ping)


def test_tunnel_ends_when_the_far_end_is_silent_for_two_intervals(
    greeted: tuple[_Running, _FarEnd], clock: _Clock
) -> None:
    running, far = greeted
    for _ in range(2):
        clock.now += 25.0
        running.pump.poke()
        far.receive_until(Ping)
    clock.now += 25.0
    running.pump.poke()
    end = running.end()
    assert end.reason is EndReason.SILENT
    assert "50 s" in end.detail


def test_tunnel_ends_as_lost_when_the_connection_is_closed(greeted: tuple[_Running, _FarEnd]) -> None:
    running, far = greeted
    far.tls.close()
    assert running.end().reason is EndReason.LOST


def test_tunnel_ends_as_lost_when_the_connection_is_reset(greeted: tuple[_Running, _FarEnd]) -> None:
    running, far = greeted
    far.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.tls.close()
    assert running.end().reason is EndReason.LOST


def test_end_text_holds_no_control_characters_when_the_far_end_sends_some(greeted: tuple[_Running, _FarEnd]) -> None:
    running, far = greeted
    far.send(End("over\n\x1b[31mroot"))
    assert running.end().detail == "over??[31mroot"


@pytest.mark.parametrize(
    "data",
    [
        LENGTH.pack(MAX_DATA_BYTES + 1),
        LENGTH.pack(13) + b"x" * 13,
        LENGTH.pack(0),
        LENGTH.pack(CONTROL_BIT | 257),
        LENGTH.pack(CONTROL_BIT) + b"x",
        LENGTH.pack(CONTROL_BIT | 5) + b"\xff" * 5,
        encode_control(Hello()),
        b"\xff" * 100,
    ],
    ids=[
        "too-long",
        "too-short",
        "empty",
        "control-too-long",
        "control-empty",
        "no-message",
        "second-hello",
        "garbage",
    ],
)
def test_tunnel_ends_and_says_so_when_the_far_end_breaks_the_protocol(
    greeted: tuple[_Running, _FarEnd], data: bytes
) -> None:
    running, far = greeted
    far.tls.sendall(data)
    end = running.end()
    assert end.reason is EndReason.PROTOCOL
    assert far.receive() == End(end.detail[:120])


@pytest.mark.parametrize("first", [b"x" * 60, Ping(b"12345678"), End("no")], ids=["data", "ping", "end"])
def test_tunnel_ends_when_anything_comes_before_hello(
    alone: tuple[_Running, _FarEnd], first: Control | bytes, tap: FakeTap
) -> None:
    running, far = alone
    far.send(first)
    assert running.end().reason is EndReason.PROTOCOL
    tap.host.setblocking(False)
    with pytest.raises(BlockingIOError):
        tap.host.recv(100)


def test_frames_wait_when_the_far_end_has_not_said_hello(alone: tuple[_Running, _FarEnd], tap: FakeTap) -> None:
    _running, far = alone
    tap.host.send(b"x" * 60)
    assert isinstance(far.receive(), Hello)
    far.send(Hello())
    assert isinstance(far.receive(), Ping)
    assert far.receive() == b"x" * 60


def test_memory_stays_bounded_when_pings_never_end_and_nothing_is_read(greeted: tuple[_Running, _FarEnd]) -> None:
    running, far = greeted
    flood = encode_control(Ping(b"12345678")) * 5000
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    far.tls.settimeout(0.2)
    try:
        for _ in range(200):
            far.tls.sendall(flood)
    except TimeoutError:
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 16 * 1024
    running.pump.stop()
    assert running.end().reason in (EndReason.STOPPED, EndReason.LOST)


def test_tunnel_ends_when_the_tap_is_gone(greeted: tuple[_Running, _FarEnd], tap: FakeTap) -> None:
    running, far = greeted

    def gone(_view: memoryview) -> int:
        raise OSError(77, "File descriptor in bad state")

    running.pump._in.open(gone, vnet_header=False)
    far.send(b"x" * 60)
    end = running.end()
    assert end.reason is EndReason.TAP_GONE
    assert tap.name in end.detail


def test_tunnel_goes_on_when_the_tap_refuses_one_frame(greeted: tuple[_Running, _FarEnd]) -> None:
    running, far = greeted

    def refuse(_view: memoryview) -> int:
        raise OSError(22, "Invalid argument")

    running.pump._in.open(refuse, vnet_header=False)
    far.send(b"x" * 60, Ping(b"12345678"))
    assert far.receive() == Pong(b"12345678")
    assert running.pump.counters.frames_refused == 1


@pytest.mark.parametrize("theirs", [int(ALL), 0])
def test_offload_in_force_is_what_both_can_when_hello_was_said(tls_pair: TlsPair, theirs: int) -> None:
    near, far_tls = tls_pair()
    tap = FakeTap(offload=ALL)
    running = _Running(Pump(tap, near, PumpSettings(mtu_bytes=1400)))
    far = _FarEnd(far_tls)
    try:
        assert far.receive() == Hello(offload=int(ALL), mtu_bytes=1400)
        far.send(Hello(offload=theirs))
        far.receive_until(Ping)
        assert tap.in_force == (ALL if theirs else Offload.NONE)
    finally:
        running.close()
        tap.close()


def test_pump_ends_at_once_when_it_was_stopped_before_it_ran(
    tls_pair: TlsPair, tap: FakeTap, make_pump: MakePump
) -> None:
    near, _far = tls_pair()
    pump = make_pump(tap, near)
    pump.stop("changed our mind")
    assert pump.run().reason is EndReason.STOPPED
    pump.stop("again")


def test_tap_stays_open_when_the_tunnel_has_ended(both: tuple[_Running, _Running], tap: FakeTap) -> None:
    near, _far = both
    near.pump.stop()
    near.end()
    tap.host.send(b"x" * 60)
    read, _write = tap.ports(Offload.NONE)
    assert read(memoryview(bytearray(100))) == 60


def test_portable_pump_offers_nothing_when_its_tap_could(tls_pair: TlsPair) -> None:
    near, far_tls = tls_pair()
    tap = FakeTap(offload=ALL)
    running = _Running(_portable(tap, near))
    far = _FarEnd(far_tls)
    try:
        assert far.receive() == Hello(offload=0)
        far.send(Hello(offload=int(ALL)))
        far.receive_until(Ping)
        assert tap.in_force == Offload.NONE
    finally:
        running.close()
        tap.close()


def test_both_pumps_say_the_same_bytes_when_the_same_happens(tls_pair: TlsPair, clock: _Clock) -> None:
    said = []
    for make in _KINDS:
        near, far_tls = tls_pair()
        tap = FakeTap()
        running = _Running(make(tap, near, clock=clock))
        far = _FarEnd(far_tls)
        words: list[Control | bytes] = [far.receive()]
        far.send(Hello())
        words.append(far.receive())
        tap.host.send(b"x" * 60)
        words.append(far.receive())
        far.send(Ping(b"abcdefgh"))
        words.append(far.receive())
        running.pump.stop("enough")
        words.append(far.receive())
        assert running.end().reason is EndReason.STOPPED
        assert far_tls.recv(1) == b""
        tap.close()
        said.append(words)
    assert said[0] == said[1]
    assert said[1] == [Hello(), Ping(bytes(7) + b"\1"), b"x" * 60, Pong(b"abcdefgh"), End("enough")]


def test_adapter_serves_the_next_pump_when_the_first_has_ended(tls_pair: TlsPair, tap: FakeTap) -> None:
    frames = TapFrames(tap)
    for number in (1, 2, 3):
        near, far_tls = tls_pair()
        running = _Running(PortablePump(frames, near))
        far = _FarEnd(far_tls)
        far.receive()
        far.send(Hello())
        far.receive_until(Ping)
        tap.host.send(bytes([number]) * 60)
        assert far.receive() == bytes([number]) * 60
        running.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader fake0")]
    frames.close()


class _Device:
    """A device that gives numbered frames as fast as they are taken, and then is gone."""

    name = "device"

    def __init__(self, frames: int) -> None:
        self.given = 0
        self._frames = frames

    def read_frame(self, view: memoryview) -> int:
        if self.given == self._frames:
            raise TapError("the adapter device was removed")
        self.given += 1
        view[:60] = self.given.to_bytes(60, "big")
        return 60

    def write_frame(self, view: memoryview) -> int | None:
        return len(view)

    def interrupt(self) -> None:
        pass


def test_frames_stay_in_the_adapter_when_the_row_is_full_and_its_end_comes_after_them() -> None:
    device = _Device(100)
    woken = threading.Event()
    row = FrameRow(device, woken.set)
    row.start()
    assert woken.wait(60)
    view = memoryview(bytearray(100))
    for number in range(1, 101):
        while not row.has_frames:
            woken.wait(60)
        assert device.given <= number + ROW_FRAMES
        assert row.take(view) == 60
        assert int.from_bytes(view[:60], "big") == number
    row._thread.join(60)
    with pytest.raises(TapError, match="removed"):
        row.take(view)
    row.stop()


def test_portable_tunnel_ends_when_its_adapter_is_removed(tls_pair: TlsPair) -> None:
    near, far_tls = tls_pair()
    running = _Running(PortablePump(_Device(3), near))
    far = _FarEnd(far_tls)
    far.send(Hello())
    assert far.receive_until(End) == End("the adapter device was removed")
    end = running.end()
    assert (end.reason, end.frames_sent) == (EndReason.TAP_GONE, 3)

"""The pumps with real TLS over loopback and a fake TAP: what they carry, how they end, what a hostile far end can do.

Every test runs with the pump of Linux and with the portable one, two pumps also with one of each.
"""

from __future__ import annotations

import resource
import socket
import threading
from collections.abc import Iterator

import pytest

from gatelink.tunnel.fake import FakeTap
from gatelink.tunnel.framing import (
    CONTROL_BIT,
    LENGTH,
    MAX_DATA_BYTES,
    Control,
    End,
    Hello,
    Ping,
    Pong,
    encode_control,
)
from gatelink.tunnel.offload import ALL, Offload
from gatelink.tunnel.pump import EndReason, Pump, PumpHooks, PumpSettings
from unit.tunnel_ends import (
    DEADLINE_S,
    KINDS,
    Clock,
    FarEnd,
    MakePump,
    Running,
    TlsPair,
    portable_pump,
)


@pytest.fixture(params=KINDS, ids=["linux", "portable"])
def make_pump(request: pytest.FixtureRequest) -> MakePump:
    """One kind of pump and the other."""
    found: MakePump = request.param
    return found


@pytest.fixture
def far_tap() -> Iterator[FakeTap]:
    found = FakeTap("fake1")
    yield found
    found.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alone(tls_pair: TlsPair, tap: FakeTap, clock: Clock, make_pump: MakePump) -> Iterator[tuple[Running, FarEnd]]:
    """One pump whose far end is the test."""
    near, far = tls_pair()
    running = Running(make_pump(tap, near, clock=clock))
    yield running, FarEnd(far)
    running.close()


@pytest.fixture
def greeted(alone: tuple[Running, FarEnd]) -> tuple[Running, FarEnd]:
    """The same after both Hellos and the pump's first Ping."""
    _running, far = alone
    assert isinstance(far.receive(), Hello)
    far.send(Hello())
    assert isinstance(far.receive(), Ping)
    return alone


@pytest.fixture(
    params=[(Pump, Pump), (portable_pump, Pump), (portable_pump, portable_pump)],
    ids=["linux", "portable-linux", "portable"],
)
def both(
    tls_pair: TlsPair, tap: FakeTap, far_tap: FakeTap, request: pytest.FixtureRequest
) -> Iterator[tuple[Running, Running]]:
    """Two pumps with each other."""
    near, far = tls_pair()
    up = [threading.Event(), threading.Event()]
    runnings = [
        Running(make(its_tap, tls, hooks=PumpHooks(on_up=lambda _hello, event=event: event.set())))  # type: ignore[misc]
        for make, its_tap, tls, event in (
            (request.param[0], tap, near, up[0]),
            (request.param[1], far_tap, far, up[1]),
        )
    ]
    assert all(event.wait(DEADLINE_S) for event in up)
    yield runnings[0], runnings[1]
    for running in runnings:
        running.close()


def test_frames_arrive_both_ways_when_the_tunnel_is_up(
    both: tuple[Running, Running], tap: FakeTap, far_tap: FakeTap
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
    both: tuple[Running, Running], tap: FakeTap, far_tap: FakeTap
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


def test_far_end_is_told_why_when_a_pump_is_stopped(both: tuple[Running, Running]) -> None:
    near, far = both
    near.pump.stop("the grant has ended")
    assert near.end().reason is EndReason.STOPPED
    end = far.end()
    assert (end.reason, end.detail) == (EndReason.FAR_END, "the grant has ended")


def test_round_trip_is_measured_when_the_tunnel_comes_up(
    both: tuple[Running, Running], tap: FakeTap, far_tap: FakeTap
) -> None:
    near, _far = both
    # The Ping goes before this frame, and its Pong before the answer.
    tap.host.send(b"x" * 60)
    far_tap.host.recv(100)
    far_tap.host.send(b"x" * 60)
    tap.host.recv(100)
    rtt_s = near.pump.counters.rtt_s
    assert rtt_s is not None
    assert 0 < rtt_s < DEADLINE_S


def test_ping_is_answered_with_its_token_when_it_comes(greeted: tuple[Running, FarEnd]) -> None:
    _running, far = greeted
    far.send(Ping(b"abcdefgh"))
    assert far.receive() == Pong(b"abcdefgh")


def test_tunnel_ends_when_no_hello_comes_in_time(alone: tuple[Running, FarEnd], clock: Clock) -> None:
    running, far = alone
    assert isinstance(far.receive(), Hello)  # its clock was read by then
    clock.now += 10.0
    running.pump.poke()
    end = running.end()
    assert end.reason is EndReason.PROTOCOL
    assert "Hello" in end.detail


def test_ping_goes_out_when_an_interval_has_passed(greeted: tuple[Running, FarEnd], clock: Clock) -> None:
    running, far = greeted
    clock.now += 25.0
    running.pump.poke()
    assert isinstance(far.receive(), Ping)


def test_tunnel_ends_when_the_far_end_is_silent_for_two_intervals(
    greeted: tuple[Running, FarEnd], clock: Clock
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


def test_tunnel_ends_as_lost_when_the_connection_is_closed(greeted: tuple[Running, FarEnd]) -> None:
    running, far = greeted
    far.tls.close()
    assert running.end().reason is EndReason.LOST


def test_tunnel_ends_as_lost_when_the_connection_is_reset(greeted: tuple[Running, FarEnd]) -> None:
    running, far = greeted
    far.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.tls.close()
    assert running.end().reason is EndReason.LOST


def test_end_text_holds_no_control_characters_when_the_far_end_sends_some(greeted: tuple[Running, FarEnd]) -> None:
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
    greeted: tuple[Running, FarEnd], data: bytes
) -> None:
    running, far = greeted
    far.tls.sendall(data)
    end = running.end()
    assert end.reason is EndReason.PROTOCOL
    assert far.receive() == End(end.detail[:120])


@pytest.mark.parametrize("first", [b"x" * 60, Ping(b"12345678"), End("no")], ids=["data", "ping", "end"])
def test_tunnel_ends_when_anything_comes_before_hello(
    alone: tuple[Running, FarEnd], first: Control | bytes, tap: FakeTap
) -> None:
    running, far = alone
    far.send(first)
    assert running.end().reason is EndReason.PROTOCOL
    tap.host.setblocking(False)
    with pytest.raises(BlockingIOError):
        tap.host.recv(100)


def test_frames_wait_when_the_far_end_has_not_said_hello(alone: tuple[Running, FarEnd], tap: FakeTap) -> None:
    _running, far = alone
    tap.host.send(b"x" * 60)
    assert isinstance(far.receive(), Hello)
    far.send(Hello())
    assert isinstance(far.receive(), Ping)
    assert far.receive() == b"x" * 60


def test_memory_stays_bounded_when_pings_never_end_and_nothing_is_read(greeted: tuple[Running, FarEnd]) -> None:
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


def test_tunnel_ends_when_the_tap_is_gone(greeted: tuple[Running, FarEnd], tap: FakeTap) -> None:
    running, far = greeted

    def gone(_view: memoryview) -> int:
        raise OSError(77, "File descriptor in bad state")

    running.pump._in.open(gone, vnet_header=False)
    far.send(b"x" * 60)
    end = running.end()
    assert end.reason is EndReason.TAP_GONE
    assert tap.name in end.detail


def test_tunnel_goes_on_when_the_tap_refuses_one_frame(greeted: tuple[Running, FarEnd]) -> None:
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
    running = Running(Pump(tap, near, PumpSettings(mtu_bytes=1400)))
    far = FarEnd(far_tls)
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


def test_tap_stays_open_when_the_tunnel_has_ended(both: tuple[Running, Running], tap: FakeTap) -> None:
    near, _far = both
    near.pump.stop()
    near.end()
    tap.host.send(b"x" * 60)
    read, _write = tap.ports(Offload.NONE)
    assert read(memoryview(bytearray(100))) == 60

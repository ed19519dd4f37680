"""What the portable pump has for itself: a reader's thread, a short row, adapters without a descriptor."""

from __future__ import annotations

import threading

import pytest

from gatelink.exceptions import TapError
from gatelink.tunnel.fake import FakeTap, TapFrames
from gatelink.tunnel.framing import Control, End, Hello, Ping, Pong
from gatelink.tunnel.offload import ALL, Offload
from gatelink.tunnel.portable_pump import ROW_FRAMES, FrameRow, PortablePump
from gatelink.tunnel.pump import EndReason
from unit.tunnel_ends import KINDS, Clock, FarEnd, Running, TlsPair, portable_pump


def test_portable_pump_offers_nothing_when_its_tap_could(tls_pair: TlsPair) -> None:
    near, far_tls = tls_pair()
    tap = FakeTap(offload=ALL)
    running = Running(portable_pump(tap, near))
    far = FarEnd(far_tls)
    try:
        assert far.receive() == Hello(offload=0)
        far.send(Hello(offload=int(ALL)))
        far.receive_until(Ping)
        assert tap.in_force == Offload.NONE
    finally:
        running.close()
        tap.close()


def test_both_pumps_say_the_same_bytes_when_the_same_happens(tls_pair: TlsPair) -> None:
    clock, said = Clock(), []
    for make in KINDS:
        near, far_tls = tls_pair()
        tap = FakeTap()
        running = Running(make(tap, near, clock=clock))
        far = FarEnd(far_tls)
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
        running = Running(PortablePump(frames, near))
        far = FarEnd(far_tls)
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
    running = Running(PortablePump(_Device(3), near))
    far = FarEnd(far_tls)
    far.send(Hello())
    assert far.receive_until(End) == End("the adapter device was removed")
    end = running.end()
    assert (end.reason, end.frames_sent) == (EndReason.TAP_GONE, 3)

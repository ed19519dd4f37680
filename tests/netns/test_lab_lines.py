"""Each fault of a line does what it says, and is gone when it is undone."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from lab import Condition, Lab, LabError, Place, ping, wait_until
from lab.layout import GM_ADDRESS

pytestmark = pytest.mark.netns


def carrier(place: Place, device: str) -> str:
    return place.run(["cat", f"/sys/class/net/{device}/carrier"]).stdout.strip()


def received_mbit(lab: Lab, seconds: int = 1, *options: str) -> float:
    """What iperf3 carries from the site to the PLC, in Mbit/s."""
    server = lab.plant.start(["iperf3", "-s", "-1", "--forceflush"])
    server.wait_for_line("listening")
    said = lab.site.run(["iperf3", "-c", "192.168.50.10", "-t", str(seconds), "-f", "m", *options]).stdout
    server.wait()
    return float(next(line for line in said.splitlines() if "receiver" in line).split()[6])


def test_neither_end_notices_when_a_line_is_cut(lab: Lab) -> None:
    line = lab.line("factory-site")
    line.cut()
    assert ping(lab.site, GM_ADDRESS, 3, timeout_s=0.2).received == 0
    assert (carrier(lab.site, "eth0"), carrier(lab.factory, "lan0")) == ("1", "1")
    line.mend()
    assert ping(lab.site, GM_ADDRESS).received == 1


def test_connection_outlives_a_cut_because_no_end_of_it_is_told(lab: Lab) -> None:
    lab.plant.start_module("lab.echo", "--tcp", "7").wait_for_line("listens")
    script = "import socket,sys\nc=socket.create_connection(('192.168.50.10',7))\n" + (
        "for line in sys.stdin: c.sendall(line.encode()); print(c.recv(100), flush=True)"
    )
    line = lab.line("site-plant")
    client = subprocess.Popen(
        lab.site.argv(["/usr/bin/python3", "-c", script]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write("before\n")
        client.stdin.flush()
        assert "before" in client.stdout.readline()
        line.cut()
        client.stdin.write("meanwhile\n")
        client.stdin.flush()
        wait_until(
            lambda: "retrans" in lab.site.run(["ss", "-tin", "dst", "192.168.50.10"]).stdout, 5, "a retransmission"
        )
        line.mend()
        assert "meanwhile" in client.stdout.readline()
        client.stdin.close()


def test_both_ends_lose_their_carrier_when_a_line_is_unplugged(lab: Lab) -> None:
    line = lab.line("site-plant")
    line.unplug()
    wait_until(lambda: carrier(lab.site, "eth1") == "0", 2, "carrier loss at the site")
    assert carrier(lab.plant, "port-site") == "0"
    assert ping(lab.site, "192.168.50.10", timeout_s=0.2).received == 0
    line.plug()
    assert carrier(lab.site, "eth1") == "1"
    assert ping(lab.site, "192.168.50.10").received == 1


def test_round_trip_takes_twice_the_delay(lab: Lab) -> None:
    lab.line("site-plant").set(Condition(delay_ms=30))
    pings = ping(lab.site, "192.168.50.10", 5)
    assert pings.received == 5
    assert pings.rtt_min_ms is not None
    assert 60 <= pings.rtt_min_ms < 90


def test_delays_add_up_when_several_lines_have_them(lab: Lab) -> None:
    lab.line("pc-office").set(Condition(delay_ms=10))
    lab.line("office-internet").set(Condition(delay_ms=20))
    assert (ping(lab.pc, GM_ADDRESS, 5).rtt_min_ms or 0) >= 60


def test_delayed_line_carries_tcp_without_a_loss(lab: Lab) -> None:
    lab.line("site-plant").set(Condition(delay_ms=5))
    assert received_mbit(lab) > 100
    assert "retrans" not in lab.site.run(["ss", "-tin", "dst", "192.168.50.10"]).stdout


@pytest.mark.parametrize("size_bytes", [1472, 9000, 60000])
def test_delayed_line_carries_frames_of_every_size(lab: Lab, size_bytes: int) -> None:
    lab.line("site-plant").set(Condition(delay_ms=2))
    assert ping(lab.site, "192.168.50.10", 5, size_bytes=size_bytes).received == 5


def test_frames_stay_in_order_when_delayed(lab: Lab) -> None:
    lab.line("site-plant").set(Condition(delay_ms=10))
    said = lab.site.run(["ping", "-c", "100", "-i", "0.002", "192.168.50.10"]).stdout
    numbers = [int(line.split("icmp_seq=")[1].split()[0]) for line in said.splitlines() if "icmp_seq=" in line]
    assert numbers == sorted(numbers)
    assert len(numbers) == 100


def test_nothing_is_disturbed_when_the_same_condition_is_set_again(lab: Lab) -> None:
    line = lab.line("site-plant")
    line.set(Condition(delay_ms=5, rate_mbit=50))
    before = (lab.run_directory / "site-plant.delay.json").read_bytes()
    flood = lab.site.start(["ping", "-c", "150", "-i", "0.005", "192.168.50.10"])
    flood.wait_for_line("icmp_seq=20")
    for _ in range(5):
        line.set(Condition(delay_ms=5, rate_mbit=50))
    assert (lab.run_directory / "site-plant.delay.json").read_bytes() == before
    flood.wait()
    assert "150 received" in flood.log
    assert "DUP" not in flood.log


def test_delaying_program_is_gone_when_the_delay_is(lab: Lab) -> None:
    line = lab.line("site-plant")
    line.set(Condition(delay_ms=5))
    pid = int(lab.run_directory.joinpath("site-plant.delay.json").read_text().split(":")[1].split(",")[0])
    line.clear()
    command = Path(f"/proc/{pid}/cmdline")
    wait_until(lambda: not command.exists() or command.read_bytes() == b"", 2, "the delaying program to end")
    assert (ping(lab.site, "192.168.50.10", 3).rtt_min_ms or 99) < 5


def test_frames_are_lost_in_proportion(lab: Lab) -> None:
    # So that the neighbours know each other: a lost ARP request would lose a second of pings.
    assert ping(lab.site, "192.168.50.10").received == 1
    lab.line("site-plant").set(Condition(loss_percent=20))
    # Each ping crosses the line twice: 64 of 100 come back; five standard deviations are 0.17 of 200.
    assert 0.47 < ping(lab.site, "192.168.50.10", 200, interval_s=0.005).received / 200 < 0.81


def test_single_frames_are_lost_when_tcp_sends_large_ones(lab: Lab) -> None:
    """A loss must not take 64 KiB at once, which the kernel hands over uncut on a perfect line."""
    large = lab.plant.start(["tcpdump", "-lnc1", "-i", "port-site", "greater 1600"])
    large.wait_for_line("listening on")
    lab.line("site-plant").set(Condition(loss_percent=2))
    received_mbit(lab)
    assert large.returncode is None
    lab.line("site-plant").clear()
    received_mbit(lab)
    assert large.wait() == 0


def test_loss_and_delay_work_together(lab: Lab) -> None:
    assert ping(lab.site, "192.168.50.10").received == 1
    lab.line("site-plant").set(Condition(loss_percent=20, delay_ms=5))
    pings = ping(lab.site, "192.168.50.10", 200, interval_s=0.005)
    assert 0.47 < pings.received / 200 < 0.81
    assert (pings.rtt_min_ms or 0) >= 10


def test_cut_and_unplug_work_on_a_delayed_line(lab: Lab) -> None:
    line = lab.line("site-plant")
    line.set(Condition(delay_ms=5, cut=True))
    assert ping(lab.site, "192.168.50.10", timeout_s=0.2).received == 0
    line.change(cut=False, unplugged=True)
    assert ping(lab.site, "192.168.50.10", timeout_s=0.2).received == 0
    line.plug()
    pings = ping(lab.site, "192.168.50.10", timeout_s=3)
    assert pings.received == 1
    assert (pings.rtt_min_ms or 0) >= 10


@pytest.mark.parametrize("options", [(), ("-R",)], ids=["up", "down"])
@pytest.mark.parametrize("delay_ms", [0, 5])
def test_line_carries_no_more_than_its_rate(lab: Lab, options: tuple[str, ...], delay_ms: float) -> None:
    lab.line("site-plant").set(Condition(rate_mbit=20, delay_ms=delay_ms))
    assert 12 < received_mbit(lab, 2, *options) < 20.5


def test_line_is_perfect_again_when_cleared(lab: Lab) -> None:
    line = lab.line("site-plant")
    line.set(Condition(cut=True, unplugged=True, rate_mbit=1, loss_percent=50, delay_ms=50))
    line.clear()
    assert line.condition == Condition()
    assert ping(lab.site, "192.168.50.10").received == 1
    assert received_mbit(lab) > 100


def test_conditions_are_refused_when_out_of_range() -> None:
    for wrong in ({"rate_mbit": 0.0}, {"loss_percent": 101.0}, {"delay_ms": -1.0}, {"queue_ms": 0.0}):
        with pytest.raises(LabError, match="expected"):
            Condition(**wrong)  # type: ignore[arg-type]


def test_lab_is_down_at_once_when_lines_are_faulty(lab: Lab) -> None:
    for name in ("pc-office", "site-plant"):
        lab.line(name).set(Condition(delay_ms=500, rate_mbit=1))
    begin = time.monotonic()
    lab.down()
    assert time.monotonic() - begin < 5

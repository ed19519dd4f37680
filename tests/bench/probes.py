"""The measuring instruments: iperf3, ping, and processor time. Each measures once and returns a number."""

from __future__ import annotations

import json
import os
import re
import statistics
from pathlib import Path

from lab import LabError, Place, Process

PLC_ADDRESS = "192.168.50.10"
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def throughput(place: Place, address: str, *, reverse: bool, seconds: int = 4, port: int = 5201) -> float:
    """Bytes a second of one TCP connection from ``place`` to ``address``, or back; the first second does not count."""
    argv = ["iperf3", "-J", "-O", "1", "-t", str(seconds), "-p", str(port), "-c", address, *(["-R"] if reverse else [])]
    done = place.run(argv, timeout_s=seconds + 20, check=False)
    report = json.loads(done.stdout)
    if "error" in report:
        raise LabError(f"iperf3 from {place.name} to {address}: {report['error']}")
    return float(report["end"]["sum_received"]["bits_per_second"]) / 8


def load(place: Place, address: str, *, reverse: bool, seconds: int, congestion: str | None = None) -> Process:
    """One TCP connection that takes all it can get, for ``seconds``; returns when it has begun.

    ``congestion`` is the algorithm of its sender; None: what the machine is set to.
    """
    argv = ["iperf3", "--forceflush", "-i", "0.5", "-t", str(seconds), "-c", address, *(["-R"] if reverse else [])]
    if congestion is not None:
        argv += ["-C", congestion]
    process = place.start(argv)
    process.wait_for_line("bits/sec", 15)
    return process


def load_rate(process: Process, seconds: int) -> float:
    """Bytes a second which the load delivered; waits for its end."""
    process.wait(seconds + 20)
    match = re.search(r"([\d.]+) ([KMG]?)bits/sec.*receiver", process.log)
    if match is None:
        raise LabError(f"iperf3 did not report: {process.log[-300:]}")
    return float(match.group(1)) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[match.group(2)] / 8


def ping_ms(place: Place, address: str, *, count: int = 100, interval_s: float = 0.02) -> float:
    """The median round trip in milliseconds."""
    done = place.run(["ping", "-n", "-c", str(count), "-i", str(interval_s), address], timeout_s=60, check=False)
    times = [float(found) for found in re.findall(r"time=([\d.]+) ms", done.stdout)]
    if len(times) < count / 2:
        raise LabError(f"only {len(times)} of {count} pings from {place.name} to {address} came back")
    return statistics.median(times)


def processor_s(*pids: int) -> float:
    """Processor seconds that these processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_A_SECOND

"""What can be seen from a place: whether an address answers, how quickly, and whether a port is open."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Literal

from lab.exceptions import LabError
from lab.places import Place

Door = Literal["open", "refused", "silent", "unreachable"]

# Run in the place; -I -S keep its start at 15 ms.
_KNOCK = """
import socket, sys
address, port, timeout_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
try:
    socket.create_connection((address, port), timeout_s).close()
    print("open")
except ConnectionRefusedError:
    print("refused")
except TimeoutError:
    print("silent")
except OSError:
    print("unreachable")
"""


@dataclass(frozen=True, slots=True)
class Pings:
    """What came of some pings; the round trips are None if none came back."""

    sent: int
    received: int
    rtt_min_ms: float | None = None
    rtt_average_ms: float | None = None
    rtt_max_ms: float | None = None


def ping(
    place: Place,
    address: str,
    count: int = 1,
    *,
    interval_s: float = 0.02,
    timeout_s: float = 1.0,
    size_bytes: int = 56,
    source: str | None = None,
) -> Pings:
    """Ping `count` times; `timeout_s` is how long the last answer is waited for. IPv6 works as well."""
    options = ["-c", count, "-i", interval_s, "-W", timeout_s, "-s", size_bytes, *(["-I", source] if source else [])]
    said = place.run(["ping", "-q", *map(str, options), address], check=False, timeout_s=count * interval_s * 3 + 30)
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", said.stdout)
    if "unreachable" in said.stderr:  # no route at all: ping does not even try
        return Pings(count, 0)
    if counts is None:
        raise LabError(f"ping in {place.name}: {said.stderr.strip() or said.stdout.strip()}")
    times = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)/", said.stdout)
    return Pings(int(counts[1]), int(counts[2]), *(map(float, times.groups()) if times else ()))


def knock(place: Place, address: str, port: int, timeout_s: float = 1.0) -> Door:
    """Try to connect to a TCP port, once."""
    argv = [sys.executable, "-I", "-S", "-c", _KNOCK, address, str(port), str(timeout_s)]
    door: Door = place.run(argv).stdout.strip()  # type: ignore[assignment]
    return door

"""Brings up our tunnel from the PC to the site through the relay: the one function to change for the real programs."""

from __future__ import annotations

from dataclasses import dataclass

from bench.certificates import Files
from lab import Lab, Process

PC_ADDRESS, SITE_ADDRESS = "10.88.0.2", "10.88.0.1"
TAP = "gl0"
_PORT = 11444


@dataclass(frozen=True, slots=True)
class GatelinkPath:
    """Our tunnel, up. The pids are those of which processor time is counted."""

    site_address: str
    pc_pid: int
    site_pid: int
    relay_pid: int


def bring_up(lab: Lab, files: Files, *, portable: bool = False) -> GatelinkPath:
    """Start relay, site and PC; the TAP adapters have addresses, and frames flow.

    ``portable``: the PC has the pump of other systems than Linux.
    """
    relay = lab.internet.start_module("bench.stand_in", "relay", str(_PORT), name="relay")
    relay_pid = int(relay.wait_for_line(r"workers \[(\d+)").group(1))
    ends: list[Process] = []
    for place, side, address in ((lab.site, "server", SITE_ADDRESS), (lab.pc, "client", PC_ADDRESS)):
        arguments = ["end", "203.0.113.10", str(_PORT), TAP, str(files.server), str(files.ca), side, f"{address}/24"]
        if portable and side == "client":
            arguments.append("portable")
        ends.append(place.start_module("bench.stand_in", *arguments, name=f"gatelink-{side}"))
    for end in ends:
        end.wait_for_line(r"^up$")
    return GatelinkPath(SITE_ADDRESS, ends[1].pid, ends[0].pid, relay_pid)

"""The lab with everything that figures need: a PLC, an iperf3 server, and the ways from the PC to them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from bench import certificates, gatelink_path, openvpn_hub
from bench.certificates import Files
from bench.gatelink_path import GatelinkPath
from bench.openvpn_hub import OpenVpnHub
from bench.probes import PLC_ADDRESS
from bench.results import Pair
from lab import Lab, wait_until
from lab.probes import ping

Way = Literal["gatelink", "hub", "none"]
MODBUS_PORT = 1502


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything up. ``take`` chooses how the PC's packets get to the plant."""

    lab: Lab
    files: Files
    gatelink: GatelinkPath
    hub: OpenVpnHub

    def take(self, way: Way) -> None:
        """Lead the PC's route to the plant through one of the tunnels, or through none of them."""
        addresses = {"gatelink": self.gatelink.site_address, "hub": self.hub.site_address, "none": "10.10.1.1"}
        self.lab.pc.run(["ip", "route", "replace", "192.168.50.0/24", "via", addresses[way]])
        wait_until(lambda: ping(self.lab.pc, PLC_ADDRESS).received, 15, f"a ping through {way}")

    def pairs(self, measure: Callable[[], float], rounds: int, other: Way = "hub") -> tuple[Pair, ...]:
        """Measure with ours and with the other in turn; who comes first changes from round to round."""
        found = []
        for number in range(rounds):
            values: dict[Way, float] = {}
            order: tuple[Way, Way] = ("gatelink", other) if number % 2 == 0 else (other, "gatelink")
            for way in order:
                self.take(way)
                values[way] = measure()
            found.append(Pair(values["gatelink"], values[other]))
        return tuple(found)


@contextmanager
def scene() -> Iterator[Scene]:
    """Build it, and leave nothing behind."""
    with Lab() as lab:
        files = certificates.make(lab.run_directory)
        _open_the_factory(lab)
        lab.plant.start(["iperf3", "--forceflush", "-s"]).wait_for_line("Server listening")
        lab.plant.start(["iperf3", "--forceflush", "-s", "-p", "5202"]).wait_for_line("Server listening")
        plc = lab.plant.start_module("bench.modbus_rate", "serve", PLC_ADDRESS, str(MODBUS_PORT))
        plc.wait_for_line("PLC listens")
        yield Scene(lab, files, gatelink_path.bring_up(lab, files), openvpn_hub.bring_up(lab, files))


def _open_the_factory(lab: Lab) -> None:
    """A way to the plant without a tunnel, over the very same lines; and the site masquerades, as the SM does."""
    lab.factory.run(["nft", "delete", "chain", "inet", "lab", "forward"])
    for place, network, gateway in (
        (lab.internet, "192.168.50.0/24", "192.0.2.2"),
        (lab.internet, "10.20.1.0/24", "192.0.2.2"),
        (lab.factory, "192.168.50.0/24", "10.20.1.2"),
    ):
        place.run(["ip", "route", "add", network, "via", gateway])
    lab.site.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    masquerade = (
        'table ip bench { chain out { type nat hook postrouting priority srcnat; oifname "eth1" masquerade; }; }'
    )
    lab.site.run(["nft", masquerade])


def python_module(module: str, *arguments: str) -> list[str]:
    """The command line of one of the instruments; tests/ must be in PYTHONPATH."""
    return [sys.executable, "-m", module, *arguments]

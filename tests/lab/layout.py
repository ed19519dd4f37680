"""Which places there are, which lines join them, and every address: data alone, nothing here touches the kernel.

A `Layout` is a set of places and lines that can be built in one go. `base()` is the whole first lab; the other
functions give the pieces that are added to it (a PC, a site, a host on a plant network).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from lab.exceptions import LabError

GM_ADDRESS = "203.0.113.10"
GM_SECOND_ADDRESS = "203.0.113.11"
GM_PORTS = (11444, 443, 80)
PROXY_PORT = 3128
PLANT_NETWORK = "192.168.50.0/24"
MOST_PLANT_HOSTS = 25

OFFICE_LAN_ADDRESS = "10.10.1.1"
SITE_LAN_ADDRESS = "10.20.1.1"
"""The inner address of every factory's firewall: the site LANs of all factories look alike, as they do in life."""

# Hidden namespace in which the two wires of every line meet; its name holds no place of people's.
LINES = "lines"


@dataclass(frozen=True, slots=True)
class End:
    """One end of a line: a device with a plain name in a place."""

    place: str
    device: str
    addresses: tuple[str, ...] = ()
    bridge: str | None = None


@dataclass(frozen=True, slots=True)
class LineSpec:
    """A cable between two places. `index` is unique in a lab and names the two wires inside."""

    name: str
    index: int
    a: End
    b: End

    def wire(self, side: str) -> str:
        """The name of the device in the hidden namespace that leads to the end `a` or `b`."""
        return f"line{self.index}-{side}"


@dataclass(frozen=True, slots=True)
class PlaceSpec:
    """One namespace. `nat` makes it a firewall between lan0 and wan0; `bridges` are names and their addresses."""

    name: str
    gateway: str | None = None
    forwards: bool = False
    nat: bool = False
    own_addresses: tuple[str, ...] = ()
    bridges: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """Places and lines that are built together."""

    places: tuple[PlaceSpec, ...]
    lines: tuple[LineSpec, ...]

    def __add__(self, other: Layout) -> Layout:
        return Layout(self.places + other.places, self.lines + other.lines)


def base() -> Layout:
    """The first lab: one PC in the office, the internet, one factory with its site and its plant."""
    middle = Layout(
        places=(
            PlaceSpec(
                "office",
                gateway="198.51.100.1",
                forwards=True,
                nat=True,
                bridges=(("lan0", (f"{OFFICE_LAN_ADDRESS}/24",)),),
            ),
            PlaceSpec("internet", forwards=True, own_addresses=(f"{GM_ADDRESS}/32", f"{GM_SECOND_ADDRESS}/32")),
        ),
        lines=(
            LineSpec(
                "office-internet",
                0,
                End("office", "wan0", ("198.51.100.2/30",)),
                End("internet", "to-office", ("198.51.100.1/30",)),
            ),
        ),
    )
    return pc(1, 1) + middle + site(1, 2, PLANT_NETWORK)


def pc(number: int, index: int) -> Layout:
    """PC `number` (1 to 200) on the office LAN: `pc`, `pc2`, ... with 10.10.1.2, 10.10.1.3, ..."""
    name = _numbered("pc", number)
    return Layout(
        places=(PlaceSpec(name, gateway=OFFICE_LAN_ADDRESS),),
        lines=(
            LineSpec(
                f"{name}-office",
                index,
                End(name, "eth0", (f"10.10.1.{number + 1}/24",)),
                End("office", f"lan-{name}", bridge="lan0"),
            ),
        ),
    )


def site(number: int, index: int, plant_network: str) -> Layout:
    """Site `number` (1 to 60) with its factory firewall and plant, the lines numbered from `index` (three of them).

    Several sites may have the same `plant_network`: that is what customers have.
    """
    net = _plant_network(plant_network)
    factory, name, plant = (_numbered(kind, number) for kind in ("factory", "site", "plant"))
    wan = ipaddress.IPv4Address("192.0.2.0") + 4 * (number - 1)
    ula = f"fd00:50:{number}::"
    return Layout(
        places=(
            PlaceSpec(factory, gateway=str(wan + 1), forwards=True, nat=True),
            PlaceSpec(name, gateway=SITE_LAN_ADDRESS),
            # No gateway, on purpose: most PLCs have none, and the SiteManager has to cope.
            PlaceSpec(plant, bridges=(("br0", (f"{net[10]}/{net.prefixlen}", f"{ula}10/64")),)),
        ),
        lines=(
            LineSpec(
                f"internet-{factory}",
                index,
                End("internet", f"to-{factory}", (f"{wan + 1}/30",)),
                End(factory, "wan0", (f"{wan + 2}/30",)),
            ),
            LineSpec(
                f"{factory}-{name}",
                index + 1,
                End(factory, "lan0", (f"{SITE_LAN_ADDRESS}/24",)),
                End(name, "eth0", ("10.20.1.2/24",)),
            ),
            LineSpec(
                f"{name}-{plant}",
                index + 2,
                End(name, "eth1", (f"{net[1]}/{net.prefixlen}", f"{ula}1/64")),
                End(plant, "port-site", bridge="br0"),
            ),
        ),
    )


def plant_host(plant: PlaceSpec, number: int, index: int) -> Layout:
    """Host `number` (1 to 25) beside the PLC: `plant-b` with .11, `plant-c` with .12, ... It has no gateway either."""
    letter = "abcdefghijklmnopqrstuvwxyz"[number]
    name = f"{plant.name}-{letter}"
    v4, v6 = (ipaddress.ip_interface(address) for address in plant.bridges[0][1])
    addresses = (f"{v4.ip + number}/{v4.network.prefixlen}", f"{v6.ip + number}/64")
    return Layout(
        places=(PlaceSpec(name),),
        lines=(
            LineSpec(
                f"{plant.name}-{name}",
                index,
                End(plant.name, f"port-{letter}", bridge="br0"),
                End(name, "eth0", addresses),
            ),
        ),
    )


def is_plant(place: PlaceSpec) -> bool:
    """Whether hosts can be added to this place."""
    return any(bridge == "br0" for bridge, _ in place.bridges)


def _plant_network(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise LabError(f"plant network {text!r}: {error}; expected something like {PLANT_NETWORK}") from None
    if network.prefixlen > 26:
        raise LabError(f"plant network {text}: too small, the PLC and its neighbours need /26 or larger")
    return network


def _numbered(kind: str, number: int) -> str:
    return kind if number == 1 else f"{kind}{number}"

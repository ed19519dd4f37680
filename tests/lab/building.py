"""From a `Layout` to real namespaces, wires, addresses, routes and filters: few processes, many commands in each."""

from __future__ import annotations

from collections.abc import Iterator

from lab import namespaces
from lab.layout import LINES, End, Layout, LineSpec, PlaceSpec
from lab.lines import devices_of, table_of_perfect_lines

# Addresses work at once (no duplicate address detection), nothing is inherited from the machine's own settings, and
# bridged frames do not pass the IP filters.
_SYSCTLS = (
    "net.ipv6.conf.all.disable_ipv6=0",
    "net.ipv6.conf.default.disable_ipv6=0",
    "net.ipv6.conf.all.accept_dad=0",
    "net.ipv6.conf.default.accept_dad=0",
    "net.ipv6.conf.default.accept_ra=0",
    "net.ipv6.conf.all.forwarding=0",
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    "net.bridge.bridge-nf-call-iptables=0",
    "net.bridge.bridge-nf-call-ip6tables=0",
)


def build(prefix: str, layout: Layout) -> None:
    """Build the layout's places and lines; ends of lines may lie in places which exist already. Raises LabError."""
    fresh = [f"{prefix}-{place.name}" for place in layout.places]
    lines_namespace = f"{prefix}-{LINES}"
    if lines_namespace not in namespaces.existing(prefix):
        fresh.append(lines_namespace)
        namespaces.create(fresh)
        namespaces.run_shell_scripts([(lines_namespace, "ip link set lo up"), *_first_steps(prefix, layout)])
    else:
        namespaces.create(fresh)
        namespaces.run_shell_scripts(_first_steps(prefix, layout))
    namespaces.command(["ip", "-n", lines_namespace, "-batch", "-"], "\n".join(_wires(prefix, layout.lines)))
    join = f"nft -f - <<'END'\n{table_of_perfect_lines(layout.lines)}\nEND"
    namespaces.run_shell_scripts([(lines_namespace, join), *_addresses(prefix, layout)])
    namespaces.settle(devices_of(prefix, layout.lines))


def _first_steps(prefix: str, layout: Layout) -> list[tuple[str, str]]:
    """Settings that devices take over when they appear, and bridges: before there is any line."""
    return [(f"{prefix}-{place.name}", "\n".join(_place_commands(place))) for place in layout.places]


def _place_commands(place: PlaceSpec) -> Iterator[str]:
    forwarding = f"net.ipv4.ip_forward={int(place.forwards)}"
    yield f"sysctl -q -e -w {forwarding} {' '.join(_SYSCTLS)}"
    yield "ip -batch - <<'END'"
    yield "link set lo up"
    yield from (f"addr add {address} dev lo" for address in place.own_addresses)
    for number, (bridge, addresses) in enumerate(place.bridges):
        # A fixed address: a bridge otherwise takes its ports' lowest, and changes it when a port is added.
        mac = f"02:67:6c:ff:00:{number:02x}"
        yield f"link add {bridge} address {mac} up type bridge forward_delay 0 mcast_snooping 0"
        yield from (f"addr add {address} dev {bridge}" for address in addresses)
    yield "END"


def _wires(prefix: str, lines: tuple[LineSpec, ...]) -> Iterator[str]:
    for line in lines:
        for side, end in (("a", line.a), ("b", line.b)):
            mac = f"02:67:6c:{line.index:02x}:00:0{side}"
            far_end = f"name {end.device} address {mac} netns {prefix}-{end.place}"
            yield f"link add {line.wire(side)} up type veth peer {far_end}"


def _addresses(prefix: str, layout: Layout) -> list[tuple[str, str]]:
    commands: dict[str, list[str]] = {}
    for line in layout.lines:
        for end in (line.a, line.b):
            commands.setdefault(end.place, []).extend(_end_commands(end))
    for place in layout.places:
        if place.gateway:
            commands[place.name].append(f"route add default via {place.gateway}")
    return [
        (f"{prefix}-{place}", "ip -batch - <<'END'\n" + "\n".join(batch) + "\nEND") for place, batch in commands.items()
    ]


def _end_commands(end: End) -> Iterator[str]:
    master = f" master {end.bridge}" if end.bridge else ""
    yield f"link set {end.device}{master} up"
    yield from (f"addr add {address} dev {end.device}" for address in end.addresses)

"""The map that `./lab up` and `./lab status` print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from lab.lab import Lab
from lab.lines import Condition

MAP = """\
   pc ------- office ------ internet ------ factory ------ site ------ plant
10.10.1.2  NAT 10.10.1.1  203.0.113.10   NAT 10.20.1.1   10.20.1.2   192.168.50.10
                          (GateManager)                 192.168.50.1   (PLC)
"""

_COMMANDS = (
    ("exec pc -- ping 203.0.113.10", "any command, in any place"),
    ("line factory-site rate 20", "also: delay 50, loss 2, cut, mend, unplug, plug, clear"),
    ("ports factory block 11444 443", "also: only-proxy, open"),
    ("add pc", "also: site, host"),
    ("status", "places, lines and firewalls as they are now"),
)


def usage(lab: Lab) -> Iterator[str]:
    """The map, and what can be typed in another terminal."""
    prefix = "" if lab.prefix == "gl" else f"GATELINK_LAB_PREFIX={lab.prefix} "
    yield MAP
    yield "In another terminal:"
    for words, meaning in _COMMANDS:
        yield f"  {prefix}./lab {words:<36} {meaning}"


def status(lab: Lab) -> Iterator[str]:
    """Every place, line and firewall as it is now."""
    yield "places"
    addresses: dict[str, list[str]] = {name: [] for name in lab.places}
    for place in lab.places.values():
        addresses[place.name] += [*place.spec.own_addresses, *(a for _, many in place.spec.bridges for a in many)]
    for line in lab.lines.values():
        for end in (line.spec.a, line.spec.b):
            addresses[end.place] += [f"{address} ({end.device})" for address in end.addresses]
    for name, known in addresses.items():
        yield f"  {name:<12} {', '.join(known)}"
    yield "lines"
    for line in lab.lines.values():
        yield f"  {line.name:<22} {_condition(line.condition)}"
    yield "firewalls"
    for firewall in lab.firewalls.values():
        rules = firewall.rules
        closed = f"closed ({rules.how}): {', '.join(str(port) for port in rules.closed_ports)}" * bool(
            rules.closed_ports
        )
        detour = f"connections to the GM are led to port {rules.detour_port}" if rules.detour_port else ""
        only_proxy = "only the proxy is open" if rules.only_proxy else ""
        yield f"  {firewall.name:<22} {'; '.join(filter(None, (closed, only_proxy, detour))) or 'open'}"


def _condition(condition: Condition) -> str:
    perfect = asdict(Condition())
    found = [
        name if value is True else f"{name} {value:g}"
        for name, value in asdict(condition).items()
        if value != perfect[name]
    ]
    return ", ".join(found) or "perfect"

"""The firewalls of office and factories: address translation, closed ports, a detour for a man in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lab import namespaces
from lab.layout import GM_ADDRESS, GM_PORTS, GM_SECOND_ADDRESS
from lab.states import load, save

How = Literal["drop", "reject"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the firewall does with TCP connections from its LAN; the whole state, the default is "everything passes".

    Closed ports end connections that exist already, too. `detour_port`: the port on the firewall itself to which new
    connections to the GM are led instead (a man in the middle listens there).
    """

    closed_ports: tuple[int, ...] = ()
    how: How = "drop"
    only_proxy: bool = False
    detour_port: int | None = None


class Firewall:
    """The nftables rules of one firewall place. It lets everything out, masqueraded, and nothing new in."""

    def __init__(self, namespace: str, name: str, run_directory: Path) -> None:
        self.name = name
        self._namespace = namespace
        self._state = run_directory / f"{name}.firewall.json"

    @property
    def rules(self) -> Rules:
        """The rules in force, whoever set them."""
        return load(self._state, Rules, Rules())

    def set(self, rules: Rules) -> None:
        """Put exactly these rules in force, in one step. Raises LabError with what nft said."""
        argv = ["ip", "netns", "exec", self._namespace, "nft", "-f", "-"]
        namespaces.command(argv, "\n".join(_table(rules)))
        save(self._state, rules)

    def close_ports(self, *ports: int, how: How = "drop") -> None:
        """Close these TCP ports, and only these."""
        self.set(replace(self.rules, closed_ports=ports, how=how, only_proxy=False))

    def allow_only_proxy(self, how: How = "drop") -> None:
        """Let nothing out but what goes through the proxy on the firewall itself (see `lab.proxy`)."""
        self.set(replace(self.rules, closed_ports=(), how=how, only_proxy=True))

    def open(self) -> None:
        """Let everything out again, without a detour."""
        self.set(Rules())

    def lead_astray(self, port: int) -> None:
        """Lead new connections to the GM, whichever of its ports they are for, to this port of the firewall."""
        self.set(replace(self.rules, detour_port=port))

    def lead_straight(self) -> None:
        """End the detour for new connections."""
        self.set(replace(self.rules, detour_port=None))


def _table(rules: Rules) -> Iterator[str]:
    refuse = "drop" if rules.how == "drop" else "reject with tcp reset"
    yield "add table inet lab"
    yield "delete table inet lab"
    yield "table inet lab {"
    yield "  chain forward {"
    yield "    type filter hook forward priority filter; policy drop;"
    if rules.only_proxy:
        yield f'    iifname "lan0" meta l4proto tcp {refuse}'
        yield '    iifname "lan0" drop'
    if rules.closed_ports:
        ports = ", ".join(str(port) for port in rules.closed_ports)
        yield f'    iifname "lan0" tcp dport {{ {ports} }} {refuse}'
    yield "    ct state established,related accept"
    yield '    iifname "lan0" oifname "wan0" accept'
    yield "  }"
    yield "  chain input {"
    yield "    type filter hook input priority filter; policy accept;"
    yield '    iifname "wan0" ct state new meta l4proto != icmp drop'
    yield "  }"
    yield "  chain prerouting {"
    yield "    type nat hook prerouting priority dstnat;"
    if rules.detour_port is not None:
        ports = ", ".join(str(port) for port in GM_PORTS)
        gm = f"{GM_ADDRESS}, {GM_SECOND_ADDRESS}"
        yield f'    iifname "lan0" ip daddr {{ {gm} }} tcp dport {{ {ports} }} redirect to :{rules.detour_port}'
    yield "  }"
    yield "  chain postrouting {"
    yield "    type nat hook postrouting priority srcnat;"
    yield '    oifname "wan0" masquerade'
    yield "  }"
    yield "}"

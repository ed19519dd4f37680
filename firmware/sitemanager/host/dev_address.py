"""The unit's own address on the machine side: exactly the one of the configuration, beside those of others.

Which one is ours is remembered by the address's label (``eth1:gatelink``): another run, and a crash, find it again.
Where the host had the address already it is somebody else's, and stays.
"""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import Final, Protocol

from .network import programs

_MARK: Final = ":gl"
"""With the longest usual names below the 15 characters that the kernel allows for a label."""


class DevAddress(Protocol):
    """What the service asks of the host."""

    def apply(self, interface: str, address: IPv4Interface | None) -> None:
        """Have this address of ours there, and no other one anywhere. Raises NetworkError."""


class LinuxDevAddress:
    """By iproute2."""

    def apply(self, interface: str, address: IPv4Interface | None) -> None:
        """See ``DevAddress``."""
        commands = []
        present = False
        for link in programs.ask_ip("-4", "address", "show"):
            name = str(link.get("ifname", ""))
            for entry in link.get("addr_info", ()):
                text = f"{entry.get('local')}/{entry.get('prefixlen')}"
                if name == interface and address is not None and text == str(address):
                    present = True
                elif str(entry.get("label", "")).endswith(_MARK):
                    commands.append(f"address del {text} dev {name}")
        if address is not None and not present:
            label = f"{interface[: 15 - len(_MARK)]}{_MARK}"
            commands += [f"address add {address} dev {interface} label {label}", f"link set dev {interface} up"]
        if commands:
            programs.ip(commands)

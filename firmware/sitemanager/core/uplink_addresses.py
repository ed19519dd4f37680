"""Addresses that uplinks are given: which commands bring an interface to exactly ours, beside those of others. No I/O.

Which ones are ours is remembered by the address's label (``eth0:gu``): another run, and a crash, find them again.
Where the host had the address already it is somebody else's, and stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_MARK: Final = ":gu"
_LONGEST_LABEL: Final = 15


def address_commands(links: Sequence[Mapping[str, Any]], wanted: Mapping[str, str]) -> list[str]:
    """Return ``ip -batch`` lines; ``links`` as ``ip -json address show`` has them, ``wanted`` by interface.

    What goes comes first: the kernel removes further addresses of a network together with its first one.
    """
    gone = [
        f"address del {text} dev {name}"
        for name, text, is_ours in _present(links)
        if is_ours and wanted.get(name) != text
    ]
    there = {(name, text) for name, text, _ in _present(links)}
    new = [
        f"address add {text} dev {name} label {name[: _LONGEST_LABEL - len(_MARK)]}{_MARK}"
        for name, text in wanted.items()
        if (name, text) not in there
    ]
    return gone + new


def _present(links: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, bool]]:
    for link in links:
        for entry in link.get("addr_info", ()):
            is_ours = str(entry.get("label", "")).endswith(_MARK)
            yield str(link.get("ifname", "")), f"{entry.get('local')}/{entry.get('prefixlen')}", is_ours

"""The Name Resolution Policy Table: questions for ``gatelink`` go to our resolver, and no others.

One rule is one key of the registry below ``POLICY``. The DNS client reads it anew when it is told to
(``SERVICE_CONTROL_PARAMCHANGE`` to Dnscache). A rule names a server without a port: on Windows the resolver listens on
port 53 of an address of 127/8 of its own.
"""

from __future__ import annotations

from typing import Final

from .registry import Registry

POLICY: Final = r"SYSTEM\CurrentControlSet\Services\Dnscache\Parameters\DnsPolicyConfig"
RULE: Final = "{6f1c9a52-6d0e-4c3e-9f4e-67617465006c}"
"""Ours, the same on every PC, so that what a killed service left is found."""
_GENERIC_SERVERS: Final = 0x8


def rule_of(server: str) -> dict[str, int | str | list[str]]:
    """Return the values of the rule."""
    return {
        "Version": 2,
        "Name": [".gatelink"],
        "ConfigOptions": _GENERIC_SERVERS,
        "GenericDNSServers": server,
    }


def apply(registry: Registry, server: str) -> None:
    """Have the rule, or, without a server, have none. Idempotent."""
    key = f"{POLICY}\\{RULE}"
    if server:
        registry.write(key, rule_of(server))
    else:
        registry.delete(key)


def clean_up(registry: Registry) -> list[str]:
    """Remove what an earlier run left; return what it was."""
    return ["the rule for .gatelink"] if registry.delete(f"{POLICY}\\{RULE}") else []

"""``gatelink.toml``: all that a new unit must be told, in a file that somebody put onto its boot partition.

claim = "glc1_..."                  # or: gm = "gm.acme.example", to wait there to be adopted

[network]
uplink = "10.20.1.2/24"             # or "dhcp", which it is without this line
gateway = "10.20.1.1"
dns = ["10.20.1.1"]
machine = "192.168.50.1/24"         # this gateway's own address on the machine's side

[config]                            # any key of config.toml
ports = [443]
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gatelink.claims import parse_claim
from gatelink.exceptions import InputError
from gatelink.link.endpoints import check_address
from gatelink.settings import convert
from sitemanager.exceptions import ConfigError

FILE_NAME: Final = "gatelink.toml"
MAX_FILE_BYTES: Final = 64 * 1024
MACHINE_PORT: Final = "dev0"
"""What the image calls the port on the machine's side."""
Text = Annotated[str, Meta(max_length=64)]


class NetworkOfUnit(msgspec.Struct, frozen=True, kw_only=True):
    """The unit's own addresses."""

    uplink: Text = "dhcp"
    gateway: Text = ""
    dns: Annotated[tuple[Text, ...], Meta(max_length=4)] = ()
    machine: Text = ""


class UnitFile(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    claim: Annotated[str, Meta(max_length=8192)] = ""
    gm: Annotated[str, Meta(max_length=253)] = ""
    network: NetworkOfUnit = NetworkOfUnit()
    config: dict[str, Any] = {}


def read(data: bytes, where: str) -> UnitFile:
    """Return what a file says. Raises ConfigError with all mistakes; no message repeats the claim."""
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(where, [f"the file is larger than {MAX_FILE_BYTES} bytes"])
    try:
        values = tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(where, [f"no TOML: {error}"]) from None
    found, mistakes = convert(values, UnitFile)
    mistakes += _further_mistakes(found)
    if mistakes:
        raise ConfigError(where, mistakes)
    return found


def network_settings(network: NetworkOfUnit) -> str:
    """Return the unit's addresses as the init scripts read them: every value is an address, nothing else can be in."""
    rows = []
    if network.uplink == "dhcp":
        rows.append("UPLINK_METHOD=dhcp")
    else:
        rows += ["UPLINK_METHOD=static", f"UPLINK_ADDRESS={ipaddress.IPv4Interface(network.uplink)}"]
        rows.append(f"UPLINK_GATEWAY={ipaddress.IPv4Address(network.gateway) if network.gateway else ''}")
        rows.append(f'UPLINK_DNS="{" ".join(str(ipaddress.ip_address(server)) for server in network.dns)}"')
    return "".join(f"{row}\n" for row in rows)


def without_secrets(data: bytes) -> str:
    """Return a file's text as it is kept beside after it was applied: without the claim, and without passwords."""
    rows = data.decode("utf-8-sig", errors="replace").splitlines()
    secret = ("claim", "password", "passphrase", "pin")
    return "".join(f"{row.split('=')[0].rstrip()} = (used)\n" if _key(row) in secret else f"{row}\n" for row in rows)


def _key(row: str) -> str:
    return row.split("=")[0].strip().strip("\"'") if "=" in row else ""


def _further_mistakes(found: UnitFile) -> Iterator[str]:
    if found.claim and found.gm:
        yield "claim, gm: only one of them can hold"
    if found.claim:
        try:
            parse_claim(found.claim, "appliance")
        except InputError as error:
            yield f"claim: {error}"
    if found.gm:
        try:
            check_address(found.gm)
        except InputError as error:
            yield f"gm: {error}"
    network = found.network
    if network.uplink != "dhcp":
        yield from _address("network.uplink", network.uplink, ipaddress.IPv4Interface, "dhcp or 10.20.1.2/24")
    elif network.gateway or network.dns:
        yield "network.uplink: gateway and dns go with a fixed address; with dhcp they come from the server"
    if network.gateway:
        yield from _address("network.gateway", network.gateway, ipaddress.IPv4Address, "10.20.1.1")
    for index, server in enumerate(network.dns):
        yield from _address(f"network.dns[{index}]", server, ipaddress.ip_address, "10.20.1.1")
    if network.machine:
        yield from _address("network.machine", network.machine, ipaddress.IPv4Interface, "192.168.50.1/24")


def _address(path: str, text: str, kind: Any, example: str) -> Iterator[str]:
    try:
        kind(text)
    except ValueError:
        yield f"{path}: expected an address such as {example}"

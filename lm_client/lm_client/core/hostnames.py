"""The name of each device on the engineer's PC: ``plc1.press-1.line3.acme.gatelink``. No I/O.

Device, appliance and domains from the innermost outwards, as the Domain Name System reads them. The same tree gives the
same names on every PC. Letters that a host name cannot have are replaced; if two devices would then have one name, the
later one by its id gets a number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from .names import Appliance, Device

SUFFIX: Final = "gatelink"
MAX_LABEL_CHARACTERS: Final = 63
MAX_NAME_CHARACTERS: Final = 253
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "æ": "ae", "å": "aa"})
_NOT_ALLOWED: Final = re.compile(r"[^a-z0-9]+")


def hostnames(appliances: Iterable[Appliance[Device]]) -> dict[str, str]:
    """Return the name of every device by its id."""
    wanted = sorted(
        (device.device_id, hostname(appliance.domain, appliance.name, device.name))
        for appliance in appliances
        for device in appliance.devices
    )
    found: dict[str, str] = {}
    taken: set[str] = set()
    for device_id, first_choice in wanted:
        name, number = first_choice, 1
        first, _, rest = name.partition(".")
        while name in taken:
            number += 1
            name = f"{first[: MAX_LABEL_CHARACTERS - 6]}-{number}.{rest}"
        taken.add(name)
        found[device_id] = name
    return found


def hostname(domain: str, appliance: str, device: str) -> str:
    """Return the name of one device, were there no other."""
    labels = [label(device), label(appliance), *(label(part) for part in reversed(domain.split("/")) if part)]
    while len(labels) > 2 and len(".".join([*labels, SUFFIX])) > MAX_NAME_CHARACTERS:
        labels.pop()
    return ".".join([*labels, SUFFIX])


def label(text: str) -> str:
    """Return one part of a host name (RFC 1123): small letters, digits and single hyphens inside."""
    spelt = text.casefold().translate(_UMLAUTS)
    plain = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    return _NOT_ALLOWED.sub("-", plain).strip("-")[:MAX_LABEL_CHARACTERS].rstrip("-") or "x"

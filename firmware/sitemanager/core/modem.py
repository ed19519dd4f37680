"""A modem as ModemManager's ``mmcli -J`` tells of it. Parses what a program prints: what is not there is none."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .leases import hosts_in
from .uplink_settings import MOST_NAME_SERVERS
from .uplinks import Given

PIN_ATTEMPTS: Final = 3
"""Of a SIM, from one right PIN to the next (3GPP TS 31.101)."""
_PREFIXES: Final = frozenset(str(length) for length in range(1, 33))
NOTHING: Final = "--"
"""What mmcli prints for no value."""


class Modem(msgspec.Struct, frozen=True):
    """One modem: ``interfaces`` are the network interfaces that it has."""

    path: str
    state: str
    failed_reason: str = ""
    needs: str = ""
    """``sim-pin`` if it has to be unlocked first."""
    pin_attempts: int | None = None
    """Left before the SIM is locked for good; None if the modem does not tell."""
    interfaces: tuple[str, ...] = ()
    bearers: tuple[str, ...] = ()
    operator: str = ""
    signal_percent: int | None = None

    @property
    def is_untouched(self) -> bool:
        """Whether nobody has told the SIM a wrong PIN since it was unlocked last: then one more cannot lock it."""
        return self.pin_attempts is None or self.pin_attempts >= PIN_ATTEMPTS


class Bearer(msgspec.Struct, frozen=True):
    """A connection of a modem; ``given`` is there if the modem told the addresses itself."""

    connected: bool
    interface: str
    method: str
    given: Given | None = None


def modem_paths(text: str) -> tuple[str, ...]:
    """Return the modems in the answer to ``-L``."""
    return _words(_values(text).get("modem-list"))


def modem_in(text: str, path: str) -> Modem:
    """Return the modem in the answer to ``-m path``."""
    values = _values(text).get("modem", {})
    generic, cellular = _table(values, "generic"), _table(values, "3gpp")
    ports = [word.split() for word in _words(generic.get("ports"))]
    percent = _word(_table(generic, "signal-quality").get("value"))
    return Modem(
        path=path,
        state=_word(generic.get("state")),
        failed_reason=_word(generic.get("state-failed-reason")),
        needs=_word(generic.get("unlock-required")),
        pin_attempts=_pin_attempts(_words(generic.get("unlock-retries"))),
        interfaces=tuple(port[0] for port in ports if port[1:] == ["(net)"]),
        bearers=_words(generic.get("bearers")),
        operator=_word(cellular.get("operator-name")),
        signal_percent=int(percent) if percent.isdecimal() and len(percent) < 4 else None,
    )


def bearer_in(text: str) -> Bearer:
    """Return the connection in the answer to ``-b``."""
    values = _values(text).get("bearer", {})
    status, ipv4 = _table(values, "status"), _table(values, "ipv4-config")
    addresses, gateways = (hosts_in(_word(ipv4.get(key))) for key in ("address", "gateway"))
    prefix = _word(ipv4.get("prefix"))
    given = None
    if len(addresses) == len(gateways) == 1 and prefix in _PREFIXES:
        servers = hosts_in(" ".join(_words(ipv4.get("dns"))))[:MOST_NAME_SERVERS]
        given = Given(f"{addresses[0]}/{prefix}", gateways[0], servers)
    return Bearer(
        connected=_word(status.get("connected")) == "yes",
        interface=_word(status.get("interface")),
        method=_word(ipv4.get("method")),
        given=given,
    )


def modem_text(modem: Modem | None, bearer: Bearer | None, *, has_pin: bool) -> str:
    """Return why there is no connection; empty if there is one."""
    if modem is None:
        return "no modem is there"
    if modem.needs == "sim-pin":
        if not has_pin:
            return "the SIM wants its PIN: enter it here"
        left = "" if modem.pin_attempts is None else f" ({modem.pin_attempts} attempts are left)"
        return f"the SIM did not take a PIN{left}: unlock it in a telephone, then enter the right one here"
    if modem.needs == "sim-puk":
        return "the SIM is locked: it wants its PUK, in a telephone"
    if modem.state == "failed":
        return f"the modem reports a fault: {modem.failed_reason.replace('-', ' ') or 'no reason given'}"
    if bearer is None or not bearer.connected:
        return f"the modem is {modem.state or 'not connected'}{f' ({modem.operator})' if modem.operator else ''}"
    if bearer.given is None:
        return f"the modem gives addresses by {bearer.method or 'no method'}: choose DHCP for this way out"
    return ""


def _pin_attempts(retries: tuple[str, ...]) -> int | None:
    """Of ``sim-pin (3)``."""
    found = [word.partition(" (")[2].rstrip(")") for word in retries if word.startswith("sim-pin (")]
    return int(found[0]) if found and found[0].isdecimal() and len(found[0]) < 3 else None


def _values(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _table(values: Any, key: str) -> dict[str, Any]:
    found = values.get(key) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value != NOTHING else ""


def _words(value: Any) -> tuple[str, ...]:
    return tuple(word for word in value if _word(word)) if isinstance(value, list) else ()

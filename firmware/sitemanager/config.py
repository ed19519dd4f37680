"""The configuration: typed, refused as a whole if it has mistakes. Its file is the business of ``host.config_store``.

Every key has a default, so that a unit is complete without the file. ``firmware/config.example.toml`` shows them all.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from gatelink.exceptions import InputError
from gatelink.link.endpoints import Proxy, check_address
from gatelink.settings import convert
from gatelink.wire import PORTS

from .core.desired import INTERFACE_PREFIX
from .core.dev_port import dev_port_mistakes
from .core.serial_settings import SerialConfig
from .core.toml_text import toml_text
from .core.uplink_settings import MOST_UPLINKS, UplinkConfig, uplink_mistakes
from .exceptions import ConfigError

SCHEMA: Final = 1
MAX_FILE_BYTES: Final = 64 * 1024
SECRETS: Final[dict[str, frozenset[str]]] = {
    "password": frozenset({"host", "port", "username"}),
    "passphrase": frozenset({"ssid"}),
    "pin": frozenset({"interface", "kind"}),
    "apn_password": frozenset({"apn", "apn_user"}),
}
"""Keys whose values are never shown, each with the keys that say to whom it is told."""
SECRET_KEYS: Final = frozenset(SECRETS)
HIDDEN: Final = "(hidden)"
MIGRATIONS: Final[list[Callable[[dict[str, Any]], dict[str, Any]]]] = []
"""The first one makes version 2 of version 1, and so on."""
Port = Annotated[int, Meta(ge=1, le=65535)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]
ShortName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
ChipPath = Annotated[str, Meta(pattern=r"^/dev/gpiochip[0-9]{1,3}$")]
GpioLine = Annotated[int, Meta(ge=0, le=1023)]
InterfaceName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:@-]{1,15}$")]


class ProxyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP proxy that understands CONNECT; tried when the GateManager cannot be reached directly."""

    host: Host
    port: Port
    username: Annotated[str, Meta(max_length=256)] = ""
    password: Annotated[str, Meta(max_length=256)] = ""

    @property
    def proxy(self) -> Proxy:
        """As the link library has it."""
        return Proxy(self.host, self.port, self.username, self.password)


class DhcpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses for a technician's laptop or phone on the machine side; PLCs have theirs."""

    enabled: bool = False
    first: Annotated[str, Meta(max_length=15)] = "10.0.0.100"
    last: Annotated[str, Meta(max_length=15)] = "10.0.0.149"
    lease_s: Annotated[int, Meta(ge=120, le=604800)] = 3600


class InputConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A digital input (a line of a GPIO chip). Its contact is closed in the good case: a cut wire is the bad one."""

    name: ShortName
    line: GpioLine
    chip: ChipPath = "/dev/gpiochip0"
    use: Literal["unlock-key", "alarm"] = "alarm"
    """``unlock-key``: remote access is locked unless the contact is closed. ``alarm``: the GateManager hears of it."""
    closed_is: Literal["low", "high"] = "low"
    """The line's level while the contact is closed: ``low`` for a contact to ground with a pull-up."""
    debounce_ms: Annotated[int, Meta(ge=0, le=5000)] = 50


class OutputConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A LED (of /sys/class/leds) or a relay (a line of a GPIO chip), and what it shows."""

    name: ShortName
    shows: Literal["power", "uplink", "gm", "session", "locked"]
    led: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{0,64}$")] = ""
    """Empty: ``chip`` and ``line`` are meant."""
    line: GpioLine = 0
    chip: ChipPath = "/dev/gpiochip0"
    on_is: Literal["low", "high"] = "high"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Seconds are ``_s``."""

    version: Literal[1] = SCHEMA
    """Of this schema."""
    gm_addresses: Annotated[tuple[Host, ...], Meta(max_length=16)] = ()
    """Host names or IP addresses of the GateManager, best first. Enrolment writes them."""
    ports: Annotated[tuple[Port, ...], Meta(min_length=1, max_length=8)] = PORTS
    """TCP ports of the GateManager, the preferred one first."""
    proxies: Annotated[tuple[ProxyConfig, ...], Meta(max_length=8)] = ()
    """Tried in turn when no port can be reached directly."""
    dev_interfaces: Annotated[tuple[InterfaceName, ...], Meta(max_length=16)] = ()
    """The machine side: the interfaces by which devices are reached. Without one no session can be opened."""
    dev_address: Annotated[str, Meta(max_length=18)] = ""
    """Address and prefix that the first of them is given, ``10.0.0.1/24``; empty: its addresses are let alone."""
    probe_s: Annotated[float, Meta(ge=1, le=86400)] = 600.0
    """How often the preferred way is tried while another one is in use."""
    backoff_longest_s: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    """The longest wait before the GateManager is tried again."""
    control_grace_s: Annotated[float, Meta(ge=5, le=3600)] = 120.0
    """How long sessions go on while the control connection is lost."""
    max_sessions: Annotated[int, Meta(ge=1, le=64)] = 16
    """At the same time."""
    set_system_clock: bool = False
    """Set the system clock by the GateManager's where it is wrong (needs CAP_SYS_TIME)."""
    dhcp: DhcpConfig = DhcpConfig()
    uplinks: Annotated[tuple[UplinkConfig, ...], Meta(max_length=MOST_UPLINKS)] = ()
    """Ways out, the best first. Without one the system's own routes are used."""
    serial: Annotated[tuple[SerialConfig, ...], Meta(max_length=32)] = ()
    inputs: Annotated[tuple[InputConfig, ...], Meta(max_length=16)] = ()
    outputs: Annotated[tuple[OutputConfig, ...], Meta(max_length=16)] = ()


def parse(data: bytes, where: str) -> Config:
    """Return what is in a file, of this or an earlier schema. Raises ConfigError with all mistakes."""
    return checked(values_in(data, where), where)


def values_in(data: bytes, where: str) -> dict[str, Any]:
    """Return the values in a file's content, unchecked. Raises ConfigError if it is no TOML, or too large."""
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(where, [f"the file is larger than {MAX_FILE_BYTES} bytes"])
    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(where, [f"no TOML: {error}"]) from None


def version_of(data: bytes) -> int | None:
    """Return the schema version of a file's content; None if it is no configuration."""
    try:
        version = values_in(data, "").get("version", 1)
    except ConfigError:
        return None
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def with_value(config: Config, key: str, text: str) -> Config:
    """Return the configuration with ``key`` (or ``table.key``) set to what a person typed.

    TOML where it is TOML (``false``, ``[443, 80]``), else plain text; a list may also be given as ``eth1,eth2``.
    Raises ConfigError.
    """
    values: dict[str, Any] = msgspec.to_builtins(config)
    table, dot, name = key.partition(".")
    if dot and isinstance(values.get(table), dict):
        values[table] = {**values[table], name: _typed_value(name, text)}
    else:
        values[key] = _typed_value(key, text)
    return checked(values, "config set")


def shown(config: Config) -> dict[str, Any]:
    """Return all values, with passwords hidden."""
    values: dict[str, Any] = _hidden(msgspec.to_builtins(config))
    return values


def to_toml(config: Config, *, hide_passwords: bool = False) -> str:
    """Return the configuration as TOML, every key of it but empty lists of tables."""
    values: dict[str, Any] = msgspec.to_builtins(config)
    for field in msgspec.structs.fields(Config):
        if not values[field.name] and _is_list_of_tables(field.type):
            del values[field.name]
    return toml_text(_hidden(values) if hide_passwords else values)


def with_hidden(values: dict[str, Any], config: Config) -> dict[str, Any]:
    """Return values from a text that was shown with ``hide_passwords``, with the passwords that ``config`` has there.

    An entry is the same one if it tells the password to the same (``SECRETS``). Others lose it: it was never given.
    """
    known = _with_passwords(msgspec.to_builtins(config))

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            filled = {key: fill(content) for key, content in value.items()}
            for key in SECRET_KEYS & filled.keys():
                if filled[key] == HIDDEN:
                    rest = {name: filled.get(name) for name in SECRETS[key]}
                    filled[key] = next((entry[key] for entry in known if _is_same(entry, rest) and key in entry), "")
            return filled
        return [fill(content) for content in value] if isinstance(value, list) else value

    return {key: fill(content) for key, content in values.items()}


def _with_passwords(value: Any) -> list[dict[str, Any]]:
    """Every table in ``value`` that has a secret."""
    if isinstance(value, dict):
        below = [entry for content in value.values() for entry in _with_passwords(content)]
        return [value, *below] if SECRET_KEYS & value.keys() else below
    if isinstance(value, list | tuple):
        return [entry for content in value for entry in _with_passwords(content)]
    return []


def _is_same(entry: dict[str, Any], rest: dict[str, Any]) -> bool:
    return all(entry.get(name) == content for name, content in rest.items())


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: HIDDEN if key in SECRET_KEYS and content else _hidden(content) for key, content in value.items()}
    return [_hidden(content) for content in value] if isinstance(value, list | tuple) else value


def _is_list_of_tables(kind: Any) -> bool:
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    element = get_args(inner)[0] if get_origin(inner) is tuple else None
    return isinstance(element, type) and issubclass(element, msgspec.Struct)


def checked(values: dict[str, Any], where: str) -> Config:
    """Return the configuration in ``values``, of this or an earlier schema. Raises ConfigError with all mistakes."""
    version = values.get("version", SCHEMA)
    if isinstance(version, int) and 1 <= version < SCHEMA:
        values = migrated(values, version)
    config, mistakes = convert(values, Config)
    mistakes += _further_mistakes(config)
    if mistakes:
        raise ConfigError(where, mistakes)
    return config


def _further_mistakes(config: Config) -> Iterator[str]:
    for index, address in enumerate(config.gm_addresses):
        yield from _complaint(f"gm_addresses[{index}]", lambda address=address: check_address(address))  # type: ignore[misc]
    for index, proxy in enumerate(config.proxies):
        yield from _complaint(f"proxies[{index}].host", lambda proxy=proxy: check_address(proxy.host))  # type: ignore[misc]
        if ":" in proxy.username:
            yield f"proxies[{index}].username: must hold no colon (RFC 7617)"
    for index, name in enumerate(config.dev_interfaces):
        if name == "lo" or name.startswith(INTERFACE_PREFIX):
            yield f"dev_interfaces[{index}]: {name} cannot be the machine side"
    if len(set(config.ports)) < len(config.ports):
        yield "ports: a port is listed twice"
    yield from uplink_mistakes(config.uplinks, config.dev_interfaces, config.dev_address)
    yield from dev_port_mistakes(config.dev_address, config.dhcp.enabled, config.dhcp.first, config.dhcp.last)
    named = (
        ("uplinks", [entry.name for entry in config.uplinks]),
        ("serial", [entry.name for entry in config.serial]),
        ("inputs", [entry.name for entry in config.inputs]),
        ("outputs", [entry.name for entry in config.outputs]),
    )
    for kind, names in named:
        yield from (
            f"{kind}[{index}].name: {name} is there twice" for index, name in enumerate(names) if name in names[:index]
        )


def migrated(values: dict[str, Any], version: int) -> dict[str, Any]:
    """Return values of an earlier schema as they are in this one."""
    for migration in MIGRATIONS[version - 1 : SCHEMA - 1]:
        values = migration(values)
    return {**values, "version": SCHEMA}


def _complaint(path: str, check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except InputError as error:
        yield f"{path}: {error}"


def _typed_value(key: str, text: str) -> Any:
    kind = get_type_hints(Config, include_extras=True).get(key)
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text
    if get_origin(inner) is tuple and not isinstance(value, list):
        words = [word.strip() for word in text.split(",") if word.strip()]
        return [int(word) if word.isdecimal() and key == "ports" else word for word in words]
    return value

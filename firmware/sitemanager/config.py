"""The configuration: ``config.toml`` in the state directory, typed, refused as a whole if it has mistakes.

Every key has a default, so that a unit is complete without the file. ``firmware/config.example.toml`` shows them all.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from gatelink.exceptions import InputError
from gatelink.files import write_atomically
from gatelink.link.endpoints import Proxy, check_address
from gatelink.settings import convert
from gatelink.wire import PORTS

from .core.desired import INTERFACE_PREFIX
from .exceptions import ConfigError, StateError

FILE_NAME: Final = "config.toml"
MAX_FILE_BYTES: Final = 64 * 1024
Port = Annotated[int, Meta(ge=1, le=65535)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]
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


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Seconds are ``_s``."""

    version: Literal[1] = 1
    """Of this schema."""
    gm_addresses: Annotated[tuple[Host, ...], Meta(max_length=16)] = ()
    """Host names or IP addresses of the GateManager, best first. Enrolment writes them."""
    ports: Annotated[tuple[Port, ...], Meta(min_length=1, max_length=8)] = PORTS
    """TCP ports of the GateManager, the preferred one first."""
    proxies: Annotated[tuple[ProxyConfig, ...], Meta(max_length=8)] = ()
    """Tried in turn when no port can be reached directly."""
    dev_interfaces: Annotated[tuple[InterfaceName, ...], Meta(max_length=16)] = ()
    """The machine side: the interfaces by which devices are reached. Without one no session can be opened."""
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


def load(state: Path) -> Config:
    """Read the configuration; the defaults if there is no file. Raises ConfigError, StateError."""
    path = state / FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(str(path), [f"the file is larger than {MAX_FILE_BYTES} bytes"])
    return parse(data, str(path))


def parse(data: bytes, where: str) -> Config:
    """Return the configuration in a file's content. Raises ConfigError with all mistakes."""
    try:
        values = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(where, [f"no TOML: {error}"]) from None
    return _checked(values, where)


def with_value(config: Config, key: str, text: str) -> Config:
    """Return the configuration with ``key`` set to what a person typed.

    TOML where it is TOML (``false``, ``[443, 80]``), else plain text; a list may also be given as ``eth1,eth2``.
    Raises ConfigError.
    """
    return _checked({**msgspec.to_builtins(config), key: _typed_value(key, text)}, "config set")


def save(state: Path, config: Config) -> None:
    """Write the configuration. Raises StateError."""
    try:
        write_atomically(state / FILE_NAME, to_toml(config).encode())
    except OSError as error:
        raise StateError(f"cannot write {state / FILE_NAME}: {error.strerror}") from None


def to_toml(config: Config, *, hide_passwords: bool = False) -> str:
    """Return the configuration as TOML, every key of it."""
    values: dict[str, Any] = msgspec.to_builtins(config)
    proxies: list[dict[str, Any]] = list(values.pop("proxies"))
    if hide_passwords:
        proxies = [{**proxy, "password": "(hidden)" if proxy["password"] else ""} for proxy in proxies]
    rows = [f"{key} = {_toml(value)}" for key, value in values.items()]
    for proxy in proxies:
        rows += ["", "[[proxies]]", *(f"{key} = {_toml(value)}" for key, value in proxy.items())]
    return "\n".join(rows) + "\n"


def _checked(values: dict[str, Any], where: str) -> Config:
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


def _toml(value: Any) -> str:
    """Return a value as TOML; a JSON string is a TOML basic string (DEL apart, which must be escaped)."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(element) for element in value) + "]"
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")

"""The proxy in Windows' settings ("Internet Options"), of the user or, where IT decided so, of the PC."""

from __future__ import annotations

import importlib
from typing import Any, Final, NamedTuple

_SETTINGS: Final = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"
_POLICY: Final = r"Software\Policies\Microsoft\Windows\CurrentVersion\Internet Settings"
_DEFAULT_PORT: Final = 80
"""Of a proxy without one, as WinINet takes it."""


class ProxySettings(NamedTuple):
    """What is set; nothing of it is tried here."""

    servers: tuple[tuple[str, int], ...] = ()
    """Host and port of each proxy through which HTTPS, or else HTTP, would go."""
    pac_url: str = ""


def read_proxy_settings(module: Any = None) -> ProxySettings:
    """Read the registry; what is not there is not set. ``module`` is for tests."""
    winreg = module or importlib.import_module("winreg")
    policy = _values(winreg, winreg.HKEY_LOCAL_MACHINE, _POLICY)
    is_of_pc = policy.get("ProxySettingsPerUser") == 0
    found = _values(winreg, winreg.HKEY_LOCAL_MACHINE if is_of_pc else winreg.HKEY_CURRENT_USER, _SETTINGS)
    servers = found.get("ProxyServer") if found.get("ProxyEnable") else ""
    pac_url = found.get("AutoConfigURL")
    return ProxySettings(parse_servers(str(servers or "")), str(pac_url or "").strip())


def parse_servers(text: str) -> tuple[tuple[str, int], ...]:
    """Read ``ProxyServer``: one proxy for everything, or ``http=a:80;https=b:8080``; a SOCKS proxy is not for us."""
    by_scheme: dict[str, tuple[str, int]] = {}
    for word in text.replace(";", " ").split():
        scheme, equals, address = word.rpartition("=")
        host, _, port = address.rpartition("://")[2].rstrip("/").partition(":")
        if host and (not port or (port.isdecimal() and 0 < int(port) < 65536)):
            by_scheme.setdefault(scheme.lower() if equals else "", (host, int(port or _DEFAULT_PORT)))
    return tuple(dict.fromkeys(by_scheme[scheme] for scheme in ("https", "", "http") if scheme in by_scheme))


def _values(winreg: Any, root: Any, key: str) -> dict[str, object]:
    found: dict[str, object] = {}
    try:
        with winreg.OpenKey(root, key) as opened:
            for index in range(winreg.QueryInfoKey(opened)[1]):
                name, value, _kind = winreg.EnumValue(opened, index)
                found[name] = value
    except OSError:
        return {}
    return found

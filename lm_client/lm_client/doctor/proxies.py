"""The proxy that the system has set: in the environment, on the desktop, in a PAC file; and whether it would help."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from gatelink.exceptions import GatelinkError
from gatelink.link.contact import ask_hello
from gatelink.link.endpoints import Endpoint, Proxy
from lm_client.config import Config
from lm_client.core.findings import Finding
from lm_client.home import Profile

MAX_PAC_BYTES: Final = 256 * 1024
_TIMEOUT_S: Final = 5.0
_GNOME: Final = (
    ("", "mode"),
    ("", "autoconfig-url"),
    *((scheme, key) for scheme in (".https", ".http") for key in ("host", "port")),
)
_PAC_PROXY: Final = re.compile(r"\b(?:PROXY|HTTPS?)\s+([A-Za-z0-9.-]{1,253}):(\d{1,5})\b")


async def proxy_findings(
    profile: Profile, config: Config, environment: Mapping[str, str], *, is_direct_open: bool
) -> list[Finding]:
    """Find the system's proxies and try the GateManager through each that the settings do not have."""
    known = {(proxy.host, proxy.port) for proxy in config.link.proxies}
    findings: list[Finding] = []
    found = system_proxies(environment)
    pac_url, set_proxies = await asyncio.to_thread(_windows_settings if sys.platform == "win32" else _desktop_settings)
    pac_url = environment.get("GATELINK_PAC_URL") or pac_url
    found += set_proxies
    if pac_url:
        found_in_pac, finding = await asyncio.to_thread(read_pac, pac_url)
        findings += [finding] if finding else []
        found += [(proxy, f"the PAC file {pac_url}") for proxy in found_in_pac]
    for own in config.link.proxies:
        findings.append(await _try(profile, config, Proxy(own.host, own.port, own.username, own.password), ""))
    for proxy, where in found:
        if (proxy.host, proxy.port) in known:
            continue
        known.add((proxy.host, proxy.port))
        finding = await _try(profile, config, proxy, where)
        if is_direct_open and finding.verdict == "bad":
            finding = Finding("proxy", "good", f"{finding.text}; it is not needed: the direct way is open")
        findings.append(finding)
    return findings or [Finding("proxy", "good", "no proxy is set on this PC")]


def system_proxies(environment: Mapping[str, str]) -> list[tuple[Proxy, str]]:
    """Return the proxies of the environment, and where each was found."""
    found = []
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        url = urlsplit(environment.get(name, ""))
        if url.hostname and url.scheme in ("http", ""):
            user, password = unquote(url.username or ""), unquote(url.password or "")
            found.append((Proxy(url.hostname, url.port or 8080, user, password), f"the variable {name}"))
    return found


def read_pac(url: str) -> tuple[list[Proxy], Finding | None]:
    """Return the proxies that a PAC file names; it is read, never run. Blocks."""
    try:
        if url.startswith("file://"):
            text = Path(urlsplit(url).path).read_text(errors="replace")[:MAX_PAC_BYTES]
        elif url.startswith(("http://", "https://")):
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=_TIMEOUT_S) as answer:
                text = answer.read(MAX_PAC_BYTES).decode(errors="replace")
        else:
            raise ValueError("neither http nor a file")
    except (OSError, ValueError, urllib.error.URLError) as error:
        step = "ask IT for the proxy's address and write it to proxies under [link] in config.toml"
        return [], Finding("proxy", "warn", f"the PAC file {url} cannot be read: {error}", step)
    named = dict.fromkeys((host, int(port)) for host, port in _PAC_PROXY.findall(text))
    return [Proxy(host, port) for host, port in named if 0 < port < 65536][:8], None


async def _try(profile: Profile, config: Config, proxy: Proxy, where: str) -> Finding:
    """Reach the GateManager through it."""
    address = profile.addresses[0]
    port = config.link.ports[0]
    said = f" (found in {where})" if where else ""
    try:
        hello, _ = await ask_hello(Endpoint(address, port, proxy))
    except GatelinkError as error:
        step = "check its address, user name and password; it must allow CONNECT to the GateManager's port"
        return Finding("proxy", "bad", f"the proxy {proxy.host}:{proxy.port}{said} does not lead there: {error}", step)
    if hello is None:
        step = "let IT except the GateManager from inspection"
        return Finding("proxy", "bad", f"behind the proxy {proxy.host}:{proxy.port}{said} somebody else answers", step)
    if not where:
        return Finding("proxy", "good", f"the proxy {proxy.host}:{proxy.port} leads to the GateManager")
    login = ', username = "...", password = "..."' if proxy.username else ""
    step = f'write proxies = [{{ host = "{proxy.host}", port = {proxy.port}{login} }}] under [link] in config.toml'
    return Finding("proxy", "warn", f"the proxy {proxy.host}:{proxy.port}{said} leads to the GateManager", step)


def _windows_settings() -> tuple[str, list[tuple[Proxy, str]]]:
    """Return the PAC file and the proxies of Windows' settings."""
    from lm_client.host.windows.proxy_settings import read_proxy_settings

    settings = read_proxy_settings()
    return settings.pac_url, [(Proxy(host, port), "Windows' settings") for host, port in settings.servers]


def _desktop_settings() -> tuple[str, list[tuple[Proxy, str]]]:
    """Return the PAC file and the proxy of a GNOME desktop, where there is one. Blocks."""
    asked = {name: _gsetting(*name) for name in _GNOME}
    mode = asked["", "mode"]
    if mode == "auto":
        return asked["", "autoconfig-url"], []
    for scheme in (".https", ".http") if mode == "manual" else ():
        host, port = asked[scheme, "host"], asked[scheme, "port"]
        if host and port.isdecimal() and 0 < int(port) < 65536:
            return "", [(Proxy(host, int(port)), "the desktop's settings")]
    return "", []


def _gsetting(below: str, key: str) -> str:
    argv = ["/usr/bin/gsettings", "get", f"org.gnome.system.proxy{below}", key]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().strip("'")

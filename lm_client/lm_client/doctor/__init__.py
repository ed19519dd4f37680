"""Looks at the PC's side of everything between the engineer and the GateManager: a verdict and a next step for each.

``service`` the part with rights, ``ways`` names, ports, TLS inspection, the clock and this PC's own firewall,
``proxies`` what the system has set. What is decided from routes and clocks is ``core.findings``. Nothing here changes
anything, and nothing secret is sent: every GateManager is met as a stranger meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lm_client.config import Config
from lm_client.core.findings import Finding, route_findings
from lm_client.home import Profile
from lm_client.service.rules import KernelRoute

from .proxies import proxy_findings
from .service import service_finding
from .ways import way_findings


async def examine(
    profile: Profile,
    config: Config,
    read_routes: Callable[[], list[KernelRoute]],
    devices: Mapping[str, str],
    environment: Mapping[str, str],
) -> list[Finding]:
    """Return all findings. ``devices`` are granted ones, name by address."""
    ways = await way_findings(profile, config)
    findings = [service_finding(config.service.socket), *ways.findings]
    findings += await proxy_findings(profile, config, environment, is_direct_open=ways.is_open)
    findings += route_findings(read_routes(), ways.addresses, devices)
    return findings

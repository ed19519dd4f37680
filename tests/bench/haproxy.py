"""The other relay: HAProxy in TCP mode with splicing, one thread as our one worker."""

from __future__ import annotations

from lab import Lab, Process, wait_until
from lab.probes import knock

_CONFIGURATION = """\
global
    nbthread 1
    maxconn 1000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    option splice-auto
    option splice-request
    option splice-response
listen relay
    bind 0.0.0.0:{port}
    server site {host}:{host_port}
"""


def start_haproxy(lab: Lab, port: int, host: str, host_port: int) -> Process:
    """Start it in front of a server; returns when it listens."""
    path = lab.run_directory / "haproxy.cfg"
    path.write_text(_CONFIGURATION.format(port=port, host=host, host_port=host_port), encoding="utf-8")
    process = lab.internet.start(["haproxy", "-db", "-f", path])
    wait_until(lambda: knock(lab.internet, "127.0.0.1", port) == "open", 10, "HAProxy to listen")
    return process

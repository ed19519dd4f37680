"""The relay alone, without TLS and TAP, against HAProxy in TCP mode with splicing."""

from __future__ import annotations

from bench import probes
from bench.haproxy import start_haproxy
from bench.results import Pair, Result
from bench.scene import Scene

NAME = "relay"
_OURS, _HAPROXY = 5301, 5302
_SITE_ADDRESS, _SITE_PORT = "10.20.1.2", 5203


def measure(scene: Scene, rounds: int) -> list[Result]:
    """Gbit/s of one connection office - internet - site, each direction."""
    lab = scene.lab
    server = lab.site.start(["iperf3", "--forceflush", "-s", "-p", str(_SITE_PORT)])
    server.wait_for_line("Server listening")
    ours = lab.internet.start_module("bench.relay_front", str(_OURS), _SITE_ADDRESS, str(_SITE_PORT))
    ours.wait_for_line("listens")
    other = start_haproxy(lab, _HAPROXY, _SITE_ADDRESS, _SITE_PORT)
    try:
        results = []
        for direction, reverse in (("up", False), ("down", True)):
            pairs = []
            for number in range(rounds):
                values = {}
                for port in (_OURS, _HAPROXY) if number % 2 == 0 else (_HAPROXY, _OURS):
                    rate = probes.throughput(lab.office, "203.0.113.10", reverse=reverse, port=port)
                    values[port] = rate * 8e-9
                pairs.append(Pair(values[_OURS], values[_HAPROXY]))
            results.append(Result(f"relay alone, {direction}", "Gbit/s", "HAProxy", tuple(pairs), 1.1))
        return results
    finally:
        for process in (other, ours, server):
            process.kill9()

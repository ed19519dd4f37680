"""Layers: which there are, that each ran, and that in CI nothing was skipped in silence."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
LAYERS = ("unit", "property", "vectors", "inproc", "netns", "browser", "repo")
IN_CI = os.environ.get("CI") == "true"

# Each of several processes of one run (`pytest -n`) has a lab of its own.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["GATELINK_LAB_PREFIX"] = os.environ.get("GATELINK_LAB_PREFIX", "glt") + worker.removeprefix("gw")

# Ctrl-C reaches what tests start also where a shell in the background had it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How fast examples are made says something of the machine and nothing of the code.
settings.register_profile("gatelink", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gatelink")

_passed: Counter[str] = Counter()
_skipped: list[str] = []


def _layer(nodeid: str) -> str:
    return nodeid.removeprefix("tests/").split("/", 1)[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the browsers come last: playwright's event loop stays in the main thread, and no other can run there then."""
    items.sort(key=lambda item: _layer(item.nodeid) == "browser")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)
    elif report.when == "call" and report.passed:
        _passed[_layer(report.nodeid)] += 1


def _missing_layers(config: pytest.Config) -> list[str]:
    """Layers of which no test passed, when the whole suite was asked for."""
    if config.args != [str(TESTS)] and config.args != ["tests"]:
        return []
    if config.option.keyword or config.option.markexpr:
        return []
    return [layer for layer in LAYERS if not _passed[layer]]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # which layers ran is known where all reports arrive
    if IN_CI and session.exitstatus == pytest.ExitCode.OK and (_skipped or _missing_layers(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line("layers: " + ", ".join(f"{layer} {_passed[layer]}" for layer in LAYERS))
    if IN_CI:
        for layer in _missing_layers(config):
            terminalreporter.write_line(f"CI: no test of the layer {layer} passed", red=True)
        for nodeid in _skipped:
            terminalreporter.write_line(f"CI: a skipped test is a failure here: {nodeid}", red=True)

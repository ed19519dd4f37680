"""The lab for tests: real namespaces, built anew for each test (0.2 s) or for each module."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest

from lab import Lab, MissingRights
from lab.products import System

_LOG_LINES = 60


def _prefix() -> str:
    return os.environ.get("GATELINK_LAB_PREFIX", "glt")


def _up() -> Lab:
    lab = Lab(_prefix())
    try:
        lab.up()
    except MissingRights as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the lab cannot be built, and in CI it must be: {error}", pytrace=False)
        pytest.skip(f"the lab cannot be built: {error}")
    return lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab of the test's own. Not in a module that uses `module_lab`: both have the same prefix."""
    found = _up()
    try:
        yield found
    finally:
        found.down()


@pytest.fixture(scope="module")
def module_lab() -> Iterator[Lab]:
    """One lab for all tests of a module, which leave it as they found it."""
    found = _up()
    try:
        yield found
    finally:
        found.down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what every program in its lab said last."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for found in item.funcargs.values():
            if isinstance(found, System):
                report.sections.append(("agent in pc", "\n".join(found.lm.log.splitlines()[-_LOG_LINES:])))
            if isinstance(found, Lab | System):
                report.sections += _logs(found if isinstance(found, Lab) else found.lab)
    return report


def _logs(lab: Lab) -> list[tuple[str, str]]:
    return [
        (f"{process.name} ({process.returncode})", "\n".join(process.lines[-_LOG_LINES:]))
        for place in lab.places.values()
        for process in place.processes
    ]

"""axe-core in a page: what it finds wrong with a page for people who cannot see, point or tell colours apart."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page

AXE: Final = Path(__file__).parents[2] / "build" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS: Final = ("serious", "critical")


@cache
def _source() -> str:
    if not AXE.exists():
        pytest.skip(f"{AXE} is missing: tools/setup fetches it")
    return AXE.read_text(encoding="utf-8")


def serious(page: Page, *, colours_only: bool = False) -> list[str]:
    """Return what is seriously wrong, one line each."""
    page.evaluate(_source())
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if colours_only:
        options["runOnly"] = {"type": "rule", "values": ["color-contrast"]}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} ({node.get('failureSummary', '')[:200]})"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"][:3]
    ]

"""What decides touches nothing: the inner ring of the LinkManager does no I/O and asks for no time."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.imports import OUTSIDE, among, imports_of

PACKAGE = Path(__file__).parents[2] / "lm_client" / "lm_client"
INNER = [
    *sorted((PACKAGE / "core").glob("*.py")),
    PACKAGE / "service" / "rules.py",
    PACKAGE / "service" / "protocol.py",
]
OUTER_RINGS = (
    "lm_client.agent",
    "lm_client.cli",
    "lm_client.host",
    "lm_client.home",
    "gatelink.link",
    "gatelink.tunnel",
)


@pytest.mark.parametrize("path", INNER, ids=lambda path: path.stem)
def test_inner_ring_stays_inside(path: Path) -> None:
    assert not among(imports_of(path), (*OUTSIDE, *OUTER_RINGS))


def test_part_with_rights_needs_nothing_of_the_agent() -> None:
    for path in [*(PACKAGE / "service").glob("*.py"), *(PACKAGE / "host").glob("*.py")]:
        assert not among(imports_of(path), ("lm_client.agent", "lm_client.cli", "gatelink.link")), path

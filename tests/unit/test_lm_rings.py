"""What decides touches nothing: the inner ring of the LinkManager does no I/O and asks for no time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lm_client" / "lm_client"
INNER = [
    *sorted((PACKAGE / "core").glob("*.py")),
    PACKAGE / "service" / "rules.py",
    PACKAGE / "service" / "protocol.py",
]
OUTSIDE = {
    "asyncio",
    "socket",
    "ssl",
    "time",
    "random",
    "os",
    "pathlib",
    "subprocess",
    "threading",
    "secrets",
    "shutil",
}
OUTER_RINGS = (
    "lm_client.agent",
    "lm_client.cli",
    "lm_client.host",
    "lm_client.home",
    "gatelink.link",
    "gatelink.tunnel",
)


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", INNER, ids=lambda path: path.stem)
def test_inner_ring_stays_inside(path: Path) -> None:
    imports = _imports(path)
    assert not {name for name in imports if name.partition(".")[0] in OUTSIDE}
    assert not {name for name in imports if name.startswith(OUTER_RINGS)}


def test_part_with_rights_needs_nothing_of_the_agent() -> None:
    for path in [*(PACKAGE / "service").glob("*.py"), *(PACKAGE / "host").glob("*.py")]:
        assert not {
            name for name in _imports(path) if name.startswith(("lm_client.agent", "lm_client.cli", "gatelink.link"))
        }

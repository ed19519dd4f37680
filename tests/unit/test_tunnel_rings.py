"""The inner modules of the tunnel do no I/O: what a hostile far end sends is parsed where nothing can be touched."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gatelink.tunnel

INNER = ("framing", "inbound", "line_rate", "liveness", "offload", "outbound")
ALLOWED = {"__future__", "collections", "enum", "errno", "gatelink", "msgspec", "struct", "typing"}
ALLOWED_OF_GATELINK = {"gatelink.exceptions", "gatelink.wire"}


@pytest.mark.parametrize("name", INNER)
def test_module_imports_nothing_that_does_io_when_it_is_an_inner_one(name: str) -> None:
    path = Path(next(iter(gatelink.tunnel.__path__))) / f"{name}.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= ALLOWED
        elif isinstance(node, ast.ImportFrom) and node.level:
            assert node.module in INNER
        elif isinstance(node, ast.ImportFrom) and node.module:
            top = node.module.partition(".")[0]
            assert top in ALLOWED
            assert top != "gatelink" or node.module in ALLOWED_OF_GATELINK

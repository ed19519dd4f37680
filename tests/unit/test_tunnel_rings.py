"""The inner modules of the tunnel do no I/O: what a hostile far end sends is parsed where nothing can be touched."""

from __future__ import annotations

from pathlib import Path

import pytest

import gatelink.tunnel
from unit.imports import among, imports_of

INNER = ("framing", "inbound", "line_rate", "liveness", "offload", "outbound")
ALLOWED = ("__future__", "collections", "enum", "errno", "msgspec", "struct", "typing")
ALLOWED_OF_GATELINK = ("gatelink.exceptions", "gatelink.wire", *(f"gatelink.tunnel.{name}" for name in INNER))


@pytest.mark.parametrize("name", INNER)
def test_module_imports_nothing_that_does_io_when_it_is_an_inner_one(name: str) -> None:
    imports = imports_of(Path(next(iter(gatelink.tunnel.__path__))) / f"{name}.py")
    assert imports == among(imports, (*ALLOWED, *ALLOWED_OF_GATELINK))

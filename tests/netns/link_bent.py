"""A GateManager whose owner is not honest: he records what he relays, names other certificates, turns his clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import Lab, Process
from lab.products import GateManager

_BENDING = Path(__file__).resolve().parent / "link_bent_gm"


class BentGateManager(GateManager):
    """`gm serve` itself, with `link_bent_gm/sitecustomize.py` around it; the product has no hook for that."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.bent = lab.run_directory / "bent-gm"
        self.bent.mkdir()

    def start(self, env: dict[str, str] | None = None) -> Process:
        """Serve, bent."""
        path = os.pathsep.join([str(_BENDING), *filter(None, [os.environ.get("PYTHONPATH")])])
        return super().start({"PYTHONPATH": path, "GATELINK_BENT_GM": str(self.bent), **(env or {})})

    @property
    def relayed(self) -> bytes:
        """Every byte that was relayed so far."""
        path = self.bent / "relay.bytes"
        return path.read_bytes() if path.exists() else b""

    @contextmanager
    def told(self, name: str, content: bytes) -> Iterator[None]:
        """Have one of the files of `link_bent_gm` there while inside."""
        path = self.bent / name
        path.write_bytes(content)
        try:
            yield
        finally:
            path.unlink()

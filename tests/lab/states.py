"""Small JSON files in the run directory: what was set, for whoever looks from another terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

State = TypeVar("State")


def save(path: Path, state: object) -> None:
    """Write the state (a dataclass) so that a reader sees the old one or the new one, never half of one."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.replace(path)


def load(path: Path, kind: type[State], default: State) -> State:
    """The state written last, or `default` if there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return default

"""Where things are in the tree, and where what is made goes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "image"
"""Heavy and ignored by git; what was downloaded is kept across builds."""
CACHE: Final = BUILD / "cache"
BOARDS: Final = ROOT / "board"
OVERLAY: Final = BOARDS / "common" / "overlay"
USERS: Final = BOARDS / "common" / "users.table"
PACKAGES_LOCK: Final = Path(__file__).with_name("packages.lock")
WHEELS_LOCK: Final = ROOT / "requirements" / "image.lock"
GUARD: Final = ROOT / "firmware" / "guard"
EPOCH_S: Final = 1735689600
"""2025-01-01: the date of every file in the image, so that the same input gives the same bytes."""

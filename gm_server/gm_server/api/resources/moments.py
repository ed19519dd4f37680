"""Times in requests: Unix seconds."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

Moment = Annotated[float, Meta(ge=0, le=1e11)]
DAY_S: Final = 86400.0

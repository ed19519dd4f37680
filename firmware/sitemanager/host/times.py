"""The clocks of the host."""

from __future__ import annotations

import time

from sitemanager.exceptions import NetworkError


def steady_s() -> float:
    """Return seconds that run on whatever happens to the system clock."""
    return time.monotonic()


def system_unix_s() -> float:
    """Return the Unix time by the system clock, which may be years off."""
    return time.time()


def set_system_clock(unix_s: float) -> None:
    """Set the system clock (needs CAP_SYS_TIME). Raises NetworkError."""
    try:
        time.clock_settime(time.CLOCK_REALTIME, unix_s)
    except OSError as error:
        raise NetworkError(
            f"cannot set the system clock: {error.strerror}; give the daemon CAP_SYS_TIME, or "
            "sm config set set_system_clock false"
        ) from None

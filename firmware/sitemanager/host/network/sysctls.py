"""Reads and writes the kernel's network settings of one interface. Raises NetworkError."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from sitemanager.exceptions import NetworkError

_ROOT: Final = Path("/proc/sys/net")
Family = Literal["ipv4", "ipv6"]


def read(family: Family, interface: str, name: str) -> str | None:
    """Return the value; None if there is no such interface or the kernel has no such setting."""
    try:
        return _path(family, interface, name).read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NetworkError(f"cannot read {_path(family, interface, name)}: {error.strerror}") from None


def write(family: Family, interface: str, name: str, value: str) -> bool:
    """Set the value unless it is that already; False if there is no such interface or setting."""
    path = _path(family, interface, name)
    known = read(family, interface, name)
    if known is None or known == value:
        return known is not None
    try:
        path.write_text(value, "ascii")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise NetworkError(
            f"cannot set {path} to {value}: {error.strerror}; CAP_NET_ADMIN and a writable /proc/sys/net are needed"
        ) from None
    return True


def _path(family: Family, interface: str, name: str) -> Path:
    return _ROOT / family / "conf" / interface / name

"""Finds serial ports in /sys, where the kernel itself says what they are: no udev is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sitemanager.core.serial_settings import FoundPort

_SYS: Final = Path("/sys/class/tty")
_USB: Final = re.compile(r"tty(USB|ACM)\d+")
_BUILT_IN: Final = re.compile(r"tty(S|AMA|mxc|O|PS|SC)\d+")
_MAX_TEXT: Final = 64


def found_ports(root: Path = _SYS) -> tuple[FoundPort, ...]:
    """Return the ports there are, by name. A USB adapter is named by its serial number; without one by its socket."""
    ports = []
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return ()
    for entry in entries:
        if _USB.fullmatch(entry.name):
            ports.append(_usb_port(entry))
        elif _BUILT_IN.fullmatch(entry.name) and _read(entry / "type") != "0" and (entry / "device").exists():
            ports.append(FoundPort(entry.name, f"/dev/{entry.name}", "built in"))
    return tuple(sorted((port for port in ports if port is not None), key=lambda port: port.name))


def _usb_port(entry: Path) -> FoundPort | None:
    try:
        place = (entry / "device").resolve(strict=True)
    except OSError:
        return None
    interface = ""
    socket = place.name
    for folder in (place, *place.parents):
        if not interface and (folder / "bInterfaceNumber").exists():
            interface, socket = _read(folder / "bInterfaceNumber"), folder.name
        if (folder / "idVendor").exists():
            serial = _read(folder / "serial")
            text = " ".join(filter(None, (_read(folder / "manufacturer"), _read(folder / "product"))))
            break
    else:
        serial, text = "", ""
    name = f"usb-{_plain(serial)}" if serial else f"usb-at-{_plain(socket)}"
    if serial and interface not in ("", "00"):
        name += f"-{interface}"
    return FoundPort(name[:_MAX_TEXT], f"/dev/{entry.name}", text[:_MAX_TEXT] or "USB")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()[:256]
    except OSError:
        return ""


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.:-]", "_", text)

"""Templates, and how figures and times read on the page."""

from __future__ import annotations

import hashlib
import time
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from gatelink.look import LOOK_CSS
from lm_client import __version__
from lm_client.core.local import ServiceView
from lm_client.core.names import path_of
from lm_client.core.plot import HEIGHT, WIDTH

_YEAR_S: Final = 365 * 24 * 3600
_KINDS: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Shelf:
    """Static files, under names with their hash, and templates."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str]] = {}
        self._urls: dict[str, str] = {}
        for entry in (LOOK_CSS, *files("lm_client.page").joinpath("static").iterdir()):
            stem, _, ending = entry.name.rpartition(".")
            if ending in _KINDS:
                content = entry.read_bytes()
                url = f"/static/{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
                self._files[url], self._urls[entry.name] = (content, _KINDS[ending]), url
        self._environment = Environment(
            loader=PackageLoader("lm_client.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "static": self._urls.__getitem__,
            "path_of": path_of,
            "ago": ago,
            "size": size,
            "rate": rate,
            "trip": trip,
            "service_text": service_text,
            "plot_width": WIDTH,
            "plot_height": HEIGHT,
            "version": __version__,
        }

    def text(self, template: str, **values: Any) -> str:
        """Return a template filled in."""
        return self._environment.get_template(template).render(values)

    def page(self, template: str, **values: Any) -> Response:
        """Return a page."""
        return HTMLResponse(self.text(template, **values))

    async def serve(self, request: Request) -> Response:
        """Answer for a static file."""
        found = self._files.get(request.url.path)
        if found is None:
            return PlainTextResponse("not found\n", 404)
        headers = {"Cache-Control": f"private, max-age={_YEAR_S}, immutable"}
        return Response(found[0], media_type=found[1], headers=headers)


def ago(then: float) -> str:
    """Return how long ago a Unix time was."""
    seconds = max(0, round(time.time() - then))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds} s"


def size(size_bytes: float) -> str:
    """Return an amount of bytes."""
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.2f} GiB"


def rate(bytes_per_s: float) -> str:
    """Return a throughput in bits, as networks have it."""
    bits = bytes_per_s * 8
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits < 1000:
            return f"{bits:.0f} {unit}" if unit == "bit/s" else f"{bits:.1f} {unit}"
        bits /= 1000
    return f"{bits:.2f} Gbit/s"


def trip(seconds: float | None) -> str:
    """Return a round trip."""
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"


def service_text(service: ServiceView) -> str:
    """Return a service's ports, short."""
    return "ping" if service.protocol == "icmp" else f"{service.protocol} {service.ports}"

"""Static files: read once, served from memory under a name with their hash, so that browsers keep them for ever."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gatelink.look import LOOK_CSS

PREFIX: Final = "/static/"
FETCHED: Final = ("vendor/htmx.js", "vendor/idiomorph.js")
"""What ``make portal-files`` fetches from npm, in the order in which pages load it. Without it pages work, not live."""
_YEAR_S: Final = 365 * 24 * 3600
_HASH_CHARACTERS: Final = 16
_WORTH_PACKING_BYTES: Final = 1024


class _Asset(msgspec.Struct, frozen=True):
    kind: str
    plain: bytes
    packed: bytes | None


class Assets:
    """The files below ``web/static``, those that the set-up fetched into ``vendor`` there, and the common look."""

    def __init__(self, directory: Traversable | None = None) -> None:
        self._by_name: dict[str, str] = {}
        self._assets: dict[str, _Asset] = {}
        self._read(directory or files("gm_server.web").joinpath("static"), "")
        self._add(LOOK_CSS.name, LOOK_CSS.read_bytes())

    def url(self, name: str) -> str:
        """Return the address of a file of ours, like ``gatelink.css``."""
        return self._by_name[name]

    @property
    def missing(self) -> tuple[str, ...]:
        """What of ``FETCHED`` this installation lacks."""
        return tuple(name for name in FETCHED if name not in self._by_name)

    @property
    def fetched_urls(self) -> tuple[str, ...]:
        """Return the addresses of ``FETCHED``; none unless all are there: they are of no use alone."""
        return () if self.missing else tuple(self._by_name[name] for name in FETCHED)

    async def serve(self, request: Request) -> Response:
        """Answer a request below ``PREFIX``."""
        asset = self._assets.get(request.url.path)
        if asset is None:
            return PlainTextResponse("not found\n", 404)
        headers = {"Cache-Control": f"public, max-age={_YEAR_S}, immutable", "Vary": "Accept-Encoding"}
        if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=asset.kind)
        return Response(asset.plain, headers=headers, media_type=asset.kind)

    def _read(self, directory: Traversable, prefix: str) -> None:
        for entry in directory.iterdir():
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                self._read(entry, f"{prefix}{entry.name}/")
                continue
            self._add(prefix + entry.name, entry.read_bytes())

    def _add(self, name: str, plain: bytes) -> None:
        stem, dot, ending = name.rpartition(".")
        digest = hashlib.sha256(plain).hexdigest()[:_HASH_CHARACTERS]
        url = f"{PREFIX}{stem}.{digest}{dot}{ending}"
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        packed = gzip.compress(plain, mtime=0) if len(plain) > _WORTH_PACKING_BYTES else None
        self._by_name[name] = url
        self._assets[url] = _Asset(kind, plain, packed)

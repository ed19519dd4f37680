"""Templates to HTML. Everything that is put in is escaped; a name that a template does not get is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .assets import Assets
from .texts import Texts, texts_in

_BYTE_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class Renderer:
    """One environment a language."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._environments: dict[str, Environment] = {}

    def texts(self, language: str) -> Texts:
        """Return a language's texts."""
        return texts_in(language)

    def render(self, template: str, texts: Texts, values: Mapping[str, Any]) -> str:
        """Return a page."""
        if texts.language not in self._environments:
            self._environments[texts.language] = make_environment(self._assets, texts)
        return self._environments[texts.language].get_template(template).render(values)


def make_environment(assets: Assets, texts: Texts) -> Environment:
    """Return the environment of one language."""
    environment = Environment(
        loader=PackageLoader("gm_server.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.do"],
    )
    environment.globals |= {
        "_": texts.gettext,
        "ngettext": texts.ngettext,
        "language": texts.language,
        "asset": assets.url,
        "fetched_scripts": assets.fetched_urls,
        "told": told_in(texts),
    }
    environment.filters |= {
        "bytes": format_bytes,
        "moment": format_moment,
        "ago": lambda at, now: format_ago(texts, at, now),
        "span": lambda seconds: format_span(texts, seconds),
        "ms": lambda seconds: "" if seconds is None else f"{seconds * 1000:.0f} ms",
    }
    return environment


def format_bytes(size_bytes: float) -> str:
    """Return a size for people: ``1.2 MB`` (powers of a thousand)."""
    for unit in _BYTE_UNITS[:-1]:
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" or size_bytes >= 100 else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} {_BYTE_UNITS[-1]}"


@cache
def _moment_text(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%d %H:%M")


def format_moment(at: float | None) -> Markup:
    """Return a moment in UTC, which the browser's script shows in the visitor's own time zone."""
    if at is None:
        return Markup("")
    exact = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{} UTC</time>').format(exact, _moment_text(int(at) // 60))


def format_ago(texts: Texts, at: float | None, now: float) -> str:
    """Return how long ago something was."""
    if at is None:
        return texts.gettext("never")
    if now - at < 5:
        return texts.gettext("just now")
    return texts.gettext("%(span)s ago", span=format_span(texts, now - at))


def format_span(texts: Texts, seconds: float) -> str:
    """Return a length of time in its largest fitting unit."""
    if seconds < 100:
        return texts.gettext("%(count)s s", count=int(seconds))
    if seconds < 100 * 60:
        return texts.gettext("%(count)s min", count=int(seconds / 60))
    if seconds < 48 * 3600:
        return texts.gettext("%(count)s h", count=int(seconds / 3600))
    return texts.gettext("%(count)s days", count=int(seconds / 86400))


def told_in(texts: Texts) -> Callable[[str], str]:
    """Return what says, in a language, that something was done."""
    from .told import DONE

    return lambda key: texts.gettext(DONE[key]) if key in DONE else ""

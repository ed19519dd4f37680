"""The catalogue of texts. English is the key, in templates and here: ``_("Add device")``; a language is a ``.po`` file
in ``texts/`` (GNU gettext's form, which every translator's tool knows), and a text that it lacks stays English.

``texts/portal.pot`` holds every text that there is; a test keeps it so, and that no page has a text besides.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from gatelink.exceptions import InputError

ENGLISH: Final = "en"
_OWN_NAMES: Final = {ENGLISH: "English", "de": "Deutsch"}


class Texts:
    """One language. Names of values stand in the texts as ``%(name)s``."""

    def __init__(self, language: str = ENGLISH, catalogue: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.language = language
        self._catalogue = catalogue or {}

    def gettext(self, text: str, **values: object) -> str:
        """Return a text in this language."""
        found = self._catalogue.get(text, (text,))[0]
        return found % values if values else found

    def ngettext(self, one: str, many: str, count: int, **values: object) -> str:
        """Return a text for ``count`` things."""
        forms = self._catalogue.get(one, (one, many))
        return (forms[0] if count == 1 else forms[-1]) % ({"count": count} | values)


@cache
def languages() -> tuple[str, ...]:
    """Return the languages that there are, English first."""
    found = [entry.name for entry in files("gm_server.web").joinpath("texts").iterdir()]
    return (ENGLISH, *sorted(name.removesuffix(".po") for name in found if name.endswith(".po")))


def own_name(language: str) -> str:
    """Return a language's name as its speakers call it; its key where that is not known."""
    return _OWN_NAMES.get(language, language)


@cache
def texts_in(language: str) -> Texts:
    """Return a language; English if there is no such."""
    if language == ENGLISH or language not in languages():
        return Texts()
    path = files("gm_server.web").joinpath("texts", f"{language}.po")
    return Texts(language, parse(path.read_text(encoding="utf-8")))


def best_language(accepted: str) -> str:
    """Return the first language of an ``Accept-Language`` header that there is."""
    for part in accepted[:200].split(","):
        language = part.partition(";")[0].strip().partition("-")[0].lower()
        if language in languages():
            return language
    return ENGLISH


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Return the translations in a ``.po`` file: by the English, one form or one and many; raises InputError."""
    found: dict[str, tuple[str, ...]] = {}
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields: dict[str, str] = {}
        current = ""
        lines = [line.strip() for line in block.splitlines()]
        for number, line in enumerate(lines, 1):
            if not line or line.startswith("#"):
                continue
            quoted = line
            if line.startswith("msg"):
                current, _, quoted = line.partition(" ")
                fields[current] = ""
            value = ast.literal_eval(quoted) if quoted.startswith('"') else None
            if not isinstance(value, str) or not current:
                raise InputError(f"the catalogue is damaged near line {number} of the block {block[:60]!r}")
            fields[current] += value
        forms = tuple(fields[key] for key in sorted(fields) if key.startswith("msgstr"))
        if fields.get("msgid") and any(forms):
            found[fields["msgid"]] = forms
    return found

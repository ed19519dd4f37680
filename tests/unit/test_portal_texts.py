"""Every text of the portal is in the catalogue, and a language's file is read as translators write it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import Environment

from gatelink.exceptions import InputError
from gm_server.web.assets import Assets
from gm_server.web.extraction import HERE, POT, every_text, pot
from gm_server.web.rendering import make_environment
from gm_server.web.texts import Texts, best_language, languages, parse, texts_in

TEMPLATES = sorted((HERE / "templates").rglob("*.html"))
NO_LANGUAGE = re.compile(
    r"UTC|TCP|SMPP|POST|GET|PUT|sm enrol|lm redeem|gm (backup|restore) gatelink-backup\.bin"
    r"|s7 vnc|\{\"to\".*\}|https://sms\.example\.com/send|Authorization: Bearer \{secret\}|/dev/ttyUSB0"
)
"""What is the same in every language: commands, protocols, examples."""
READ_ALOUD = re.compile(r"""\b(?:aria-label|placeholder|title|alt)=(?:"([^"]*)"|'([^']*)')""")


def _bare_texts(source: str) -> list[str]:
    """What stands in a template outside of tags, expressions and the catalogue."""
    tokens = Environment(extensions=["jinja2.ext.do"]).lex(source)  # noqa: S701 - nothing is rendered
    html = "".join(
        value if kind == "data" else "\0"
        for _, kind, value in tokens
        if kind in ("data", "variable_begin", "block_begin")
    )
    html = re.sub(r"<(script|style|svg)\b.*?</\1>", "", html, flags=re.DOTALL)
    spoken = [first or second for first, second in READ_ALOUD.findall(html)]
    outside = re.sub(r"<[^>]*>", "\n", html)
    lines = [line.strip() for text in (outside, *spoken) for line in re.split(r"[\n\0]", text)]
    return [line for line in lines if re.search(r"[A-Za-z]{2}", NO_LANGUAGE.sub("", re.sub(r"&[a-z]+;", "", line)))]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_holds_no_text_outside_of_the_catalogue(path: Path) -> None:
    assert _bare_texts(path.read_text(encoding="utf-8")) == []


def test_a_text_outside_is_found_when_there_is_one() -> None:
    assert _bare_texts("<p>{{ _('Fine') }}</p><p>Not fine</p>") == ["Not fine"]
    assert _bare_texts('<input placeholder="Not fine" value="x">') == ["Not fine"]


def test_every_template_can_be_compiled() -> None:
    environment = make_environment(Assets(), Texts())
    for path in TEMPLATES:
        environment.get_template(path.relative_to(HERE / "templates").as_posix())


def test_catalogue_is_complete() -> None:
    assert POT.read_text(encoding="utf-8") == pot(), "write it anew: python -m gm_server.web.extraction"
    assert "Add appliance" in every_text()


def test_values_fit_in_every_text() -> None:
    for text, plural in every_text().items():
        for form in filter(None, (text, plural)):
            assert form % dict.fromkeys(re.findall(r"%\((\w+)\)s", form), "x")


def test_language_is_read_as_translators_write_it() -> None:
    texts = Texts(
        "de",
        parse(
            '# a remark\nmsgid ""\nmsgstr "Language: de\\n"\n\n'
            '#: overview.html\nmsgid "Add "\n"appliance"\nmsgstr "Gerät hinzufügen"\n\n'
            'msgid "%(count)s alarm"\nmsgid_plural "%(count)s alarms"\nmsgstr[0] "%(count)s Alarm"\n'
            'msgstr[1] "%(count)s Alarme"\n\nmsgid "Edit"\nmsgstr ""\n'
        ),
    )
    assert texts.gettext("Add appliance") == "Gerät hinzufügen"
    assert texts.ngettext("%(count)s alarm", "%(count)s alarms", 1) == "1 Alarm"
    assert texts.ngettext("%(count)s alarm", "%(count)s alarms", 3) == "3 Alarme"
    assert texts.gettext("Edit") == "Edit"
    with pytest.raises(InputError):
        parse('msgid "x"\nmsgstr nonsense\n')


def _values(text: str) -> list[str]:
    """Return what is put into a text: names in order of the alphabet, and signs of per cent."""
    return sorted(re.findall(r"%\(\w+\)s|%%", text))


@pytest.mark.parametrize("language", languages()[1:])
def test_language_has_every_text_with_its_values(language: str) -> None:
    file = HERE / "texts" / f"{language}.po"
    written = file.read_text(encoding="utf-8")
    texts, wanted = parse(written), every_text()
    assert "#, fuzzy" not in written
    assert wanted.keys() - texts.keys() == set(), f"to be translated in {file.name}"
    for text, plural in wanted.items():
        forms = texts[text]
        assert len(forms) == (2 if plural else 1), text
        assert [_values(form) for form in forms] == [_values(form) for form in (text, plural) if form], text
        assert all(form.strip() == form and form for form in forms), text
        # A sentence stays one, a label stays one: both stand where the English one did.
        assert all(form.endswith((".", ":", "?")) == text.endswith((".", ":", "?")) for form in forms if not plural), (
            text
        )


def test_german_says_sie() -> None:
    familiar = re.compile(r"\b(du|dich|dir|deine?[mnrs]?|euch|eure?[mnrs]?)\b")
    texts = texts_in("de")
    assert [text for text in every_text() if familiar.search(texts.gettext(text))] == []


def test_language_of_the_browser_is_chosen_when_there_is_one() -> None:
    assert best_language("") == "en"
    assert best_language("xx-YY,en;q=0.5") == "en"
    assert best_language("xx,de-AT;q=0.9,en;q=0.5") == "de"

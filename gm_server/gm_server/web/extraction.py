"""Collects every text of the portal into ``texts/portal.pot``: ``python -m gm_server.web.extraction`` writes it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jinja2 import Environment, nodes

from .told import DONE

HERE: Final = Path(__file__).parent
POT: Final = HERE / "texts" / "portal.pot"
_NAMES: Final = ("_", "gettext")
_HEAD: Final = """\
# Every text of Gatelink's portal. Copy it to LANGUAGE.po (de.po), and fill in each msgstr.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"""


def every_text() -> dict[str, str]:
    """Return each text with its plural, which is empty where it has none."""
    found: dict[str, str] = dict.fromkeys(DONE.values(), "")
    environment = Environment(extensions=["jinja2.ext.do"])  # noqa: S701 - nothing is rendered
    for path in sorted((HERE / "templates").rglob("*.html")):
        for call in environment.parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name):
                constants = [
                    arg.value for arg in call.args if isinstance(arg, nodes.Const) and isinstance(arg.value, str)
                ]
                found.update(_texts(call.node.name, constants))
    for path in sorted(HERE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                constants = [
                    arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                ]
                found.update(_texts(name, constants))
    return dict(sorted(found.items()))


def pot() -> str:
    """Return the file."""
    blocks = [_HEAD]
    for text, plural in every_text().items():
        if plural:
            blocks.append(f'msgid {_quoted(text)}\nmsgid_plural {_quoted(plural)}\nmsgstr[0] ""\nmsgstr[1] ""\n')
        else:
            blocks.append(f'msgid {_quoted(text)}\nmsgstr ""\n')
    return "\n".join(blocks)


def _texts(name: str, constants: list[str]) -> Iterator[tuple[str, str]]:
    if name in _NAMES and constants:
        yield constants[0], ""
    elif name == "ngettext" and len(constants) >= 2:
        yield constants[0], constants[1]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    POT.write_text(pot(), encoding="utf-8")

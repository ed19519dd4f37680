"""The style sheet keeps what docs/design.md promises: contrast in light and dark, nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatelink.look import LOOK_CSS

ROOT = Path(__file__).parents[2]
SHEETS = (
    ROOT / "gm_server/gm_server/web/static/gatelink.css",
    ROOT / "lm_client/lm_client/page/static/page.css",
    ROOT / "firmware/sitemanager/web/static/style.css",
)
SCRIPTS = (ROOT / "gm_server/gm_server/web/static/gatelink.js", ROOT / "gm_server/gm_server/web/static/theme.js")
LOOK = LOOK_CSS.read_text(encoding="utf-8")
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
TEXT, SURFACES = (
    ("ink", "ink-soft", "ink-faint", "accent", "good", "warn", "bad", "idle"),
    ("ground", "surface", "sunken"),
)
PAIRS = (
    *((text, surface) for text in TEXT for surface in SURFACES),
    *((f"{state}", f"{state}-soft") for state in ("good", "warn", "bad")),
    ("ink-soft", "idle-soft"),
    ("accent-strong", "accent-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("surface", "bad"),
    ("rail-ink", "rail"),
    ("rail-ink", "rail-on"),
)
LINES = (
    ("line-strong", "surface"),
    ("line-strong", "ground"),
    ("focus", "surface"),
    ("focus", "ground"),
    ("rail-mark", "rail"),
)


_COLOURS = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", LOOK)
LIGHT = {name: light for name, light, _ in _COLOURS}
DARK = {name: dark for name, _, dark in _COLOURS}


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_surface(colours: dict[str, str]) -> None:
    too_faint = {pair: _contrast(colours[pair[0]], colours[pair[1]]) for pair in PAIRS}
    assert {pair: ratio for pair, ratio in too_faint.items() if ratio < 4.5} == {}
    lines = {pair: _contrast(colours[pair[0]], colours[pair[1]]) for pair in LINES}
    assert {pair: ratio for pair, ratio in lines.items() if ratio < 3} == {}


def test_every_colour_is_there_for_light_and_dark() -> None:
    assert re.findall(r"--([a-z-]+): #", LOOK) == []
    assert len(LIGHT) >= 26


def test_design_page_names_the_colours_as_they_are() -> None:
    for name in ("ground", "surface", "ink", "accent", "line-strong", "focus", "good", "bad"):
        row = next(line for line in DESIGN.splitlines() if line.startswith(f"| `--{name}`"))
        assert LIGHT[name] in row
        assert DARK[name] in row


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in (*SHEETS, *SCRIPTS):
        assert not re.search(r"https?://|@import|url\((?!/static/)", path.read_text(encoding="utf-8")), path
    assert "url(" not in LOOK


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_colours_and_names_of_variables_stand_in_the_common_look_alone(sheet: Path) -> None:
    rules = sheet.read_text(encoding="utf-8")
    assert re.findall(r"#[0-9a-fA-F]{6}\b(?=[^{]*;)", rules) == []
    own = set(re.findall(r"(--[a-z0-9-]+):", rules))
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", rules)) <= own | set(re.findall(r"(--[a-z0-9-]+):", LOOK))

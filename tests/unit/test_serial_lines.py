"""Settings of serial lines, as people write them."""

from __future__ import annotations

import pytest

from gatelink.exceptions import InputError
from gatelink.messages import LineSettings
from gatelink.serial_lines import line_text, parse_line


@pytest.mark.parametrize("text", ["19200,8,E,1", "19200 8E1", " 19200, 8, e, 1 ", "19200,8E1"])
def test_settings_are_understood_as_people_write_them(text: str) -> None:
    assert parse_line(text) == LineSettings(19200, 8, "E", 1)
    assert line_text(parse_line(text)) == "19200,8,E,1"


@pytest.mark.parametrize(
    "text", ["", "19200", "192008N1", "19200,9,N,1", "19200,8,M,1", "19200,8,N,3", "49,8,N,1", "4000001,8,N,1"]
)
def test_settings_that_no_line_has_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="like 19200,8,E,1"):
        parse_line(text)

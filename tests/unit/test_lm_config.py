"""The LinkManager's settings file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelink.exceptions import InputError
from lm_client.config import Config, load, parse

EXAMPLE = Path(__file__).parents[2] / "lm_client" / "config.example.toml"


def test_example_is_the_defaults_when_it_is_read() -> None:
    assert load(EXAMPLE) == Config()


def test_defaults_are_used_when_there_is_no_file(tmp_path: Path) -> None:
    assert load(tmp_path / "config.toml") == Config()


def test_every_mistake_is_named_when_there_are_several() -> None:
    data = {
        "link": {"ports": [0], "prots": [443], "proxies": [{"host": "p", "port": "x", "pasword": "geheim"}]},
        "session": 3,
        "service": {"socket": 5},
        "extra": 1,
    }
    with pytest.raises(InputError) as caught:
        parse(data)
    text = str(caught.value)
    for part in (
        "link.ports[0]: ",
        "link.prots: unknown key; known are ports",
        "link.proxies[0].port: ",
        "link.proxies[0].pasword: unknown key; known are host",
        "session: expected a table",
        "service.socket: ",
        "extra: unknown key",
    ):
        assert part in text
    assert "geheim" not in text
    assert "\n" not in text


def test_file_is_refused_when_it_is_of_another_version() -> None:
    with pytest.raises(InputError, match="schema: expected 1, got 2"):
        parse({"schema": 2})


def test_file_is_refused_when_it_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("link = [", encoding="utf-8")
    with pytest.raises(InputError, match="is no TOML"):
        load(path)


def test_password_is_not_shown_when_a_proxy_is_printed() -> None:
    config = parse({"link": {"proxies": [{"host": "p", "port": 3128, "username": "u", "password": "geheim"}]}})
    assert config.link.proxies[0].password == "geheim"
    assert "geheim" not in repr(config)

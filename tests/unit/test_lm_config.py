"""The LinkManager's settings file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gatelink.exceptions import InputError
from lm_client.config import Config, load, parse
from lm_client.home import Home

EXAMPLE = Path(__file__).parents[2] / "lm_client" / "config.example.toml"


def test_example_is_the_defaults_when_it_is_read() -> None:
    assert parse(tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))) == Config()


def test_defaults_are_used_when_there_is_no_file(tmp_path: Path) -> None:
    assert load(Home(tmp_path)) == Config()


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
        load(Home(tmp_path))


def test_profile_is_connected_as_the_pc_is_where_it_says_nothing(tmp_path: Path) -> None:
    usual = Home(tmp_path)
    profile = usual.of_profile("other")
    profile.path.mkdir(parents=True)
    said = '[link]\nports = [11444]\nstagger_s = 5.0\n[service]\nsocket = "/here"\n[serial]\n"drive.press" = "7E1"\n'
    usual.config_path.write_text(said.replace("7E1", "7E"), encoding="utf-8")
    assert load(profile) == parse({"link": {"ports": [11444], "stagger_s": 5.0}, "service": {"socket": "/here"}})
    profile.config_path.write_text("[link]\nports = [80]\n", encoding="utf-8")
    assert load(profile).link == parse({"link": {"ports": [80], "stagger_s": 5.0}}).link
    assert load(usual).link.ports == (11444,)
    for home in (usual, profile):
        before = home.config_path.read_text(encoding="utf-8")
        home.config_path.write_text("[link]\nprots = [80]\n", encoding="utf-8")
        with pytest.raises(InputError, match=f"^{home.config_path}: link.prots: unknown key"):
            load(profile)
        home.config_path.write_text(before, encoding="utf-8")


def test_password_is_not_shown_when_a_proxy_is_printed() -> None:
    config = parse({"link": {"proxies": [{"host": "p", "port": 3128, "username": "u", "password": "geheim"}]}})
    assert config.link.proxies[0].password == "geheim"
    assert "geheim" not in repr(config)

"""The SM's configuration: defaults, mistakes and what people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelink.wire import PORTS
from sitemanager.config import Config, ProxyConfig, parse, to_toml, with_value
from sitemanager.exceptions import ConfigError, StateError
from sitemanager.host.config_store import load, save

EXAMPLE = Path(__file__).resolve().parents[2] / "firmware" / "config.example.toml"
FULL = Config(
    gm_addresses=("gm.example", "203.0.113.10", "2001:db8::1"),
    ports=(443,),
    proxies=(ProxyConfig(host="proxy", port=3128, username='a"b', password="p\\w\x7f\n"),),
    dev_interfaces=("eth1", "br-lan.5"),
    probe_s=30.0,
    set_system_clock=True,
)


def test_example_is_the_defaults_when_it_is_read() -> None:
    data = EXAMPLE.read_bytes()
    assert parse(data, "example") == Config()
    keys = [row.split(" = ")[0] for row in to_toml(Config()).splitlines() if row]
    assert [row.split(" = ")[0] for row in data.decode().splitlines() if row and row[0] != "#"] == keys
    assert "[[proxies]]" in data.decode()


def test_defaults_are_in_force_when_there_is_no_file(tmp_path: Path) -> None:
    assert load(tmp_path) == Config()
    assert Config().ports == PORTS


def test_everything_comes_back_when_it_was_saved(tmp_path: Path) -> None:
    save(tmp_path, FULL)
    assert load(tmp_path) == FULL
    assert (tmp_path / "config.toml").stat().st_mode & 0o777 == 0o600


def test_passwords_are_hidden_when_it_is_shown() -> None:
    shown = to_toml(FULL, hide_passwords=True)
    assert "p\\\\w" not in shown
    assert "(hidden)" in shown
    assert "p\\w" not in repr(FULL.proxies[0].proxy)


def test_every_mistake_is_named_with_its_path_when_there_are_many() -> None:
    text = """
version = 2
ports = [0, 443, "x"]
port = 443
max_sessions = 0
dev_interfaces = ["a b"]
[[proxies]]
host = "h"
port = 99999
pasword = "secret"
[[proxies]]
host = ""
"""
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "config.toml")
    paths = [mistake.split(":")[0] for mistake in caught.value.mistakes]
    assert paths == [
        "version",
        "ports[0]",
        "ports[2]",
        "port",
        "max_sessions",
        "dev_interfaces[0]",
        "proxies[0].port",
        "proxies[0].pasword",
        "proxies[1].host",
        "proxies[1]",
    ]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('gm_addresses = ["http://gm"]', "gm_addresses[0]"),
        ('dev_interfaces = ["lo"]', "dev_interfaces[0]"),
        ('dev_interfaces = ["gls0"]', "dev_interfaces[0]"),
        ('dev_interfaces = ["eth1\\""]', "dev_interfaces[0]"),
        ("ports = [443, 443]", "ports"),
        ("ports = []", "ports"),
        ('[[proxies]]\nhost = "p"\nport = 1\nusername = "a:b"', "proxies[0].username"),
        ("probe_s = nan", "probe_s"),
        ("dev_interfaces = 5", "dev_interfaces"),
    ],
)
def test_value_is_refused_when_it_cannot_work(text: str, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "config.toml")
    assert [mistake.split(":")[0] for mistake in caught.value.mistakes] == [path]


@pytest.mark.parametrize("data", [b"\xff", b"ports = ", b"[" * 5000, b"x = " + b"[" * 5000])
def test_file_is_refused_in_one_line_when_it_is_no_toml(data: bytes) -> None:
    with pytest.raises(ConfigError, match="no TOML") as caught:
        parse(data, "config.toml")
    assert "\n" not in str(caught.value)


def test_file_is_refused_when_it_is_huge_or_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"#" * 70_000)
    with pytest.raises(ConfigError, match="larger"):
        load(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StateError, match="cannot read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("dev_interfaces", "eth1", ("eth1",)),
        ("dev_interfaces", "eth1, eth2", ("eth1", "eth2")),
        ("dev_interfaces", '["eth1"]', ("eth1",)),
        ("dev_interfaces", "", ()),
        ("gm_addresses", "203.0.113.10", ("203.0.113.10",)),
        ("ports", "443", (443,)),
        ("ports", "443,80", (443, 80)),
        ("ports", "[443, 80]", (443, 80)),
        ("probe_s", "30", 30.0),
        ("set_system_clock", "true", True),
        ("proxies", '[{host = "p", port = 3128}]', (ProxyConfig(host="p", port=3128),)),
    ],
)
def test_key_is_set_when_a_person_types_it(key: str, text: str, value: object) -> None:
    assert getattr(with_value(Config(), key, text), key) == value


@pytest.mark.parametrize(
    ("key", "text"), [("nothing", "1"), ("ports", "http"), ("set_system_clock", "maybe"), ("max_sessions", "many")]
)
def test_key_is_refused_when_it_or_its_value_makes_no_sense(key: str, text: str) -> None:
    with pytest.raises(ConfigError, match=key):
        with_value(Config(), key, text)

"""config.toml, names, presets, passwords, throttle."""

from __future__ import annotations

from pathlib import Path

import pytest

import gm_server
from gatelink.exceptions import InputError
from gatelink.messages import Service
from gm_server import config
from gm_server.accounts.passwords import check_password, hash_password, is_password
from gm_server.accounts.throttle import FORGET_S, LONGEST_S, Throttle
from gm_server.appliances.presets import parse_ports, preset, presets, services
from gm_server.config import Config, Limits
from gm_server.exceptions import NotFound
from gm_server.names import check_device_address, check_name, check_path, check_text, split_path

EXAMPLE = Path(gm_server.__path__[0]).parent / "config.example.toml"


def test_example_file_holds_the_defaults() -> None:
    assert config.load(EXAMPLE) == Config()
    assert EXAMPLE.read_text() == config.render(Config())


def test_rendered_settings_are_read_back_whatever_they_are(tmp_path: Path) -> None:
    settings = Config(
        name='quo"ted \\ näme',
        addresses=("gm.example", "2001:db8::1"),
        listen=("[::1]:443",),
        keepalive_s=120.5,
        first_use_enrolment=False,
        limits=Limits(handshakes=7, sessions_per_user=1),
    )
    path = tmp_path / "config.toml"
    path.write_text(config.render(settings))
    assert config.load(path) == settings


def test_every_mistake_is_named_at_once() -> None:
    data = {
        "schema": 1,
        "adresses": [],
        "addresses": ["gm example"],
        "listen": ["443"],
        "keepalive_s": "often",
        "tunnel_network": "198.18.0.1/15",
        "limits": {"handshakes": 0, "hands": 3},
    }
    with pytest.raises(InputError) as error:
        config.parse(data)
    for path in (
        "adresses:",
        "addresses[0]:",
        "listen[0]:",
        "keepalive_s:",
        "tunnel_network:",
        "limits.handshakes:",
        "limits.hands:",
    ):
        assert path in str(error.value)


@pytest.mark.parametrize("text", ["= nonsense", "schema = 2", "name = 'x'", "schema = 1\nlimits = 5", "\x00"])
def test_file_is_refused_in_one_line_when_it_is_no_settings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"config\.toml") as error:
        config.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "listener",
    ["443", ":443", "gm.example:443", "0.0.0.0:65536", "0.0.0.0:x", "::1:443", "[127.0.0.1]:443", "0.0.0.0:" + "9" * 9],
)
def test_listener_is_refused_when_it_is_no_address_and_port(listener: str) -> None:
    with pytest.raises(InputError, match="expected an IP address and port"):
        config.parse_listener(listener)


@pytest.mark.parametrize("name", ["a", "Presse 3", "ä-1", "x" * 63, "ann@acme.example", "日本"])
def test_name_is_taken(name: str) -> None:
    assert check_name(name, "a device") == name


@pytest.mark.parametrize("name", ["", " a", "a ", "a/b", "a\nb", "a\x1b", "x" * 64, ".", "-a", "a\u202eb", "a\x00"])
def test_name_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name, "a device")


def test_names_that_look_alike_are_one() -> None:
    assert check_name("a\u0308", "a device") == check_name("\u00e4", "a device")


def test_path_is_checked_level_by_level() -> None:
    assert check_path("/acme/line 3/") == "acme/line 3"
    assert split_path("acme/line3/press1", "an appliance") == ("acme/line3", "press1")
    for wrong in ("", "/", "a//b", "a/ b", "/".join("abcdefghi")):
        with pytest.raises(InputError):
            check_path(wrong)
    with pytest.raises(InputError):
        split_path("press1", "an appliance")


@pytest.mark.parametrize("address", ["192.168.1.10", "10.0.0.1", "8.8.8.8", "100.64.0.1"])
def test_device_address_is_taken(address: str) -> None:
    assert check_device_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "plc",
        "::1",
        "192.168.1",
        "192.168.1.256",
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "169.254.1.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.168.1.10/24",
        "192.168.01.1",
        "192.168.1.10 ",
    ],
)
def test_device_address_is_refused(address: str) -> None:
    with pytest.raises(InputError):
        check_device_address(address)


def test_text_is_one_printable_line() -> None:
    assert check_text("because", "the reason") == "because"
    for wrong in ("a\nb", "x" * 513, "\x1b[31m"):
        with pytest.raises(InputError):
            check_text(wrong, "the reason")


def test_every_preset_can_be_used() -> None:
    assert preset("modbus") == (Service("modbus", "tcp", 502, 502),)
    assert preset("ping") == (Service("ping", "icmp"),)
    for name, found in presets().items():
        assert check_name(name, "a service") == name
        assert found
    with pytest.raises(NotFound, match=r"no preset modbuss \(did you mean modbus.*`gm services presets` lists them"):
        preset("modbuss")


def test_ports_are_read_as_people_write_them() -> None:
    assert services("x", ("502", "1000-1010"), ("161",), icmp=True) == (
        Service("x", "tcp", 502, 502),
        Service("x", "tcp", 1000, 1010),
        Service("x", "udp", 161, 161),
        Service("x", "icmp"),
    )
    for wrong in ("", "0", "65536", "5-", "-5", "10-5", "a", "1-2-3", "٣", "9" * 5000):
        with pytest.raises(InputError):
            parse_ports("x", "tcp", wrong)


@pytest.mark.parametrize("password", ["", "short", "x" * 257, "abababababab", "adalovelace", "adalovelaceadalovelace"])
def test_password_is_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(InputError) as error:
        check_password(password, "adalovelace")
    assert not password or password not in str(error.value).replace("the user's name", "")


def test_nobody_has_a_password_when_there_is_no_hash() -> None:
    known = hash_password("correct horse")
    assert is_password("correct horse", known)
    assert not is_password("wrong horse", known)
    assert not is_password("correct horse", None)
    assert not is_password("correct horse", "damaged")


def test_guessing_is_slowed_but_never_for_good() -> None:
    throttle = Throttle(free_attempts=3)
    now = 0.0
    waits = []
    for _ in range(12):
        throttle.attempt("ada", now)
        waits.append(throttle.wait_s("ada", now))
        now += waits[-1]
        assert throttle.wait_s("ada", now) == 0
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, LONGEST_S, LONGEST_S, LONGEST_S, LONGEST_S]
    assert throttle.wait_s("eve", now) == 0
    throttle.attempt("ada", now + FORGET_S + 1)
    assert throttle.wait_s("ada", now + FORGET_S + 1) == 0


def test_good_password_takes_back_its_own_attempt_alone() -> None:
    throttle = Throttle(free_attempts=2)
    for _ in range(2):
        throttle.attempt("192.0.2.1", 0.0)
    throttle.attempt("192.0.2.1", 1.0)
    throttle.take_back("192.0.2.1")
    assert throttle.wait_s("192.0.2.1", 1.0) == 1.0
    throttle.forget("192.0.2.1")
    assert throttle.wait_s("192.0.2.1", 1.0) == 0
    throttle.take_back("unknown")


def test_throttle_keeps_those_that_matter_when_it_is_full() -> None:
    throttle = Throttle(free_attempts=1, max_keys=10)
    for _ in range(5):
        throttle.attempt("guesser", 0.0)
    for number in range(100):
        throttle.attempt(f"passer-by {number}", 0.1)
    assert len(throttle) == 10
    assert throttle.wait_s("guesser", 0.1) > 10

"""The user's files: home, remembered keys, the agent's log."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gatelink.exceptions import InputError, PeerChanged
from lm_client.agent.keys import KeyBook
from lm_client.home import Home, Profile
from lm_client.journal import MAX_BYTES, Journal

ONE, TWO = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.ensure()
    return found


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_the_owners_alone_when_written(home: Home) -> None:
    home.save_profile(Profile(user="anna", addresses=("gm.example.com",), pin_certificate=b"der"))
    assert (_mode(home.path), _mode(home.profile_path)) == (0o700, 0o600)
    assert home.profile().pin_certificate == b"der"


def test_directory_is_closed_to_others_when_it_was_open(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    Home(tmp_path / "home").ensure()
    assert _mode(tmp_path / "home") == 0o700


def test_person_is_told_what_to_do_when_nobody_enrolled(home: Home) -> None:
    with pytest.raises(InputError, match="use `lm redeem`"):
        home.profile()


def test_damaged_profile_is_named_when_it_is_read(home: Home) -> None:
    home.profile_path.write_text('{"user": 1}', encoding="utf-8")
    with pytest.raises(InputError, match=r"profile\.json is damaged"):
        home.profile()


def test_home_is_found_when_given_or_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("GATELINK_LM_HOME", raising=False)
    assert Home.find().path == tmp_path / "xdg" / "gatelink-lm"
    monkeypatch.setenv("GATELINK_LM_HOME", str(tmp_path / "env"))
    assert Home.find().path == tmp_path / "env"
    assert Home.find(str(tmp_path / "given")).path == tmp_path / "given"


def test_sockets_differ_when_homes_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    paths = {Home(tmp_path / name).socket_path for name in "ab"}
    assert {path.parent for path in paths} == {Path("/run/user/1000/gatelink-lm")}
    assert len(paths) == 2
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert Home(tmp_path).socket_path == tmp_path / "agent.sock"
    with pytest.raises(InputError, match="too long for a socket"):
        _ = Home(tmp_path / ("x" * 100)).socket_path


def test_changed_key_is_refused_and_kept_when_checked(home: Home) -> None:
    book = KeyBook(home)
    assert book.check("a1", "press", ONE)
    book.remember("a1", "press", ONE)
    assert not KeyBook(home).check("a1", "press", ONE)
    with pytest.raises(PeerChanged, match=r"expected 0101 .*, got 0202 .*`lm trust press`"):
        KeyBook(home).check("a1", "press", TWO)
    later = KeyBook(home)
    assert (later.entries["a1"].key_sha256, later.entries["a1"].offered) == (ONE, TWO)
    later.remember("a1", "press", TWO)
    assert not KeyBook(home).check("a1", "press", TWO)


def test_log_is_bounded_when_much_is_noted(home: Home) -> None:
    journal = Journal(home.log_path)
    for _ in range(3 * MAX_BYTES // 1000):
        journal.note("x" * 2000)
    journal.close()
    sizes = [path.stat().st_size for path in home.path.glob("agent.log*")]
    assert len(sizes) == 2
    assert max(sizes) < MAX_BYTES + 2000


def test_one_line_is_written_when_a_text_holds_several(home: Home) -> None:
    journal = Journal(home.log_path)
    journal.note("session a\n2026-01-01 logged in as root\x1b[2J")
    journal.close()
    assert len(home.log_path.read_text(encoding="utf-8").splitlines()) == 1
    assert "\x1b" not in home.log_path.read_text(encoding="utf-8")


def test_log_goes_on_when_the_disk_is_full(home: Home) -> None:
    journal = Journal(home.log_path)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._descriptor)
    os.close(full)
    journal.note("nothing is raised")
    journal.close()

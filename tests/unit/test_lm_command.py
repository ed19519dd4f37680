"""What the command ``lm`` says of wrong input: one line, a status, nothing half done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gatelink.claims import Claim, claim_text
from gatelink.exceptions import InputError
from lm_client.cli import run
from lm_client.home import Home, Profile
from lm_client.redeeming import parse_invitation

INVITATION = claim_text(Claim("user", "i1", b"s" * 16, ("gm.example.com",)))
GOOD_PASSWORD = "a very good password"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("GATELINK_LM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return Home(tmp_path / "home")


def _password(tmp_path: Path, text: str) -> str:
    path = tmp_path / "password"
    path.write_text(text, encoding="utf-8")
    return str(path)


def _fails(capsys: pytest.CaptureFixture[str], status: int, *words: str) -> str:
    assert run(list(words)) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("lm: ")
    assert len(captured.err.splitlines()) == 1
    return captured.err


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("connect",),
        ("connect", "a", "b"),
        ("list", "--jason"),
        ("disconnect",),
        ("disconnect", "press", "--all"),
        ("connect", "press", "--reason", "x" * 513),
        ("redeem", "glc1_x"),
        ("redeem", "not an invitation"),
        ("redeem", INVITATION[:-3]),
        ("redeem", "-", "--password-stdin"),
        ("import", "absent.p12", "--gm", "gm.example.com"),
        ("import", "absent.p12"),
        ("login",),
        ("service", "--allow-uid", "anna"),
    ],
)
def test_status_is_two_when_input_is_wrong(
    home: Home, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    _fails(capsys, 2, *words)
    assert not home.identity_path.exists()
    assert not home.profile_path.exists()


@pytest.mark.parametrize("words", [("list",), ("status",), ("connect", "press"), ("logout",), ("trust", "press")])
def test_person_is_told_to_log_in_when_nobody_is(
    home: Home, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert _fails(capsys, 1, *words) == "lm: not logged in: use `lm login`\n"


def test_last_words_are_shown_when_the_agent_ended_with_an_error(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.ensure()
    home.log_path.write_text("2026-11-01T00:00:00Z ended: the password is wrong\n", encoding="utf-8")
    text = "lm: not logged in: use `lm login` (the last agent ended: the password is wrong)\n"
    assert _fails(capsys, 1, "status") == text


@pytest.mark.parametrize(
    ("password", "text"),
    [("", "has 0 characters; expected 10 to 256"), ("short", "has 5 characters"), ("x" * 257, "has 257 characters")],
)
def test_password_is_refused_when_its_length_is_wrong(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], password: str, text: str
) -> None:
    file = _password(tmp_path, password)
    assert text in _fails(capsys, 2, "redeem", INVITATION, "--password-file", file)
    assert not list(home.path.glob("pending-*"))


def test_terminal_is_asked_for_when_there_is_no_password(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lm_client.cli", "--home", str(home.path), "redeem", INVITATION],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lm: there is no terminal to ask for the password")


def test_key_is_kept_encrypted_when_the_gm_cannot_be_reached(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = claim_text(Claim("user", "i1", b"s" * 16, ("127.0.0.1",)))
    home.ensure()
    home.config_path.write_text("[link]\nports = [1]\n", encoding="utf-8")
    file = _password(tmp_path, GOOD_PASSWORD)
    assert "cannot reach 127.0.0.1:1" in _fails(capsys, 1, "redeem", claim, "--password-file", file)
    (pending,) = home.path.glob("pending-*")
    first = pending.read_bytes()
    assert b"ENCRYPTED PRIVATE KEY" in first
    assert pending.stat().st_mode & 0o777 == 0o600
    _fails(capsys, 1, "redeem", claim, "--password-file", file)
    assert pending.read_bytes() == first
    other = _password(tmp_path, GOOD_PASSWORD + "2")
    assert "with another password" in _fails(capsys, 2, "redeem", claim, "--password-file", other)


def test_user_stays_when_somebody_else_would_take_the_place(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.ensure()
    home.save_profile(Profile(user="anna", addresses=("gm.example.com",)))
    file = tmp_path / "bob.p12"
    file.write_bytes(b"\x30\x82")
    words = ("import", str(file), "--gm", "gm.example.com")
    assert "belongs to anna already" in _fails(capsys, 2, *words)
    assert run([*words, "--replace"]) == 0
    assert home.profile().user == ""
    assert home.identity_path.read_bytes() == b"\x30\x82"


def test_file_is_refused_when_it_is_no_certificate(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Anna", encoding="utf-8")
    assert "is no certificate file" in _fails(capsys, 2, "import", str(file), "--gm", "gm.example.com")
    assert "expected a host name" in _fails(capsys, 2, "import", str(file), "--gm", "https://gm/")


def test_mistakes_of_the_settings_are_named_when_logging_in(
    home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home.ensure()
    home.save_profile(Profile(user="anna", addresses=("gm.example.com",)))
    home.config_path.write_text("[link]\nprots = [1]\n", encoding="utf-8")
    assert run(["login", "--password-file", _password(tmp_path, GOOD_PASSWORD)]) == 2
    assert "link.prots: unknown key" in capfd.readouterr().err


def test_connect_imports_nothing_that_it_does_not_need(home: Home) -> None:
    heavy = ("asyncio", "cryptography", "jinja2", "ssl", "starlette", "subprocess", "uvicorn")
    program = (
        "import sys; from lm_client.cli import run; run(['connect', 'press'])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "lm: not logged in: use `lm login`\n")


@pytest.mark.parametrize(
    "before", ["", "https://gm.example.com/invitation#", "https://gm.example.com:8443/in\nvitation#"]
)
def test_invitation_is_read_with_and_without_the_link_before_it(before: str) -> None:
    assert parse_invitation(f" {before}{INVITATION[:20]}\n{INVITATION[20:]} ").addresses == ("gm.example.com",)


@pytest.mark.parametrize("text", ["https://gm.example.com/invitation", "gm#" + INVITATION, "https://gm/#glc1_x"])
def test_text_is_refused_when_it_holds_no_invitation(text: str) -> None:
    with pytest.raises(InputError):
        parse_invitation(text)

"""The SM's files: who it is, whom it trusts, and the owner's lock."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from gatelink import files, identity
from gatelink.identity import Identity, key_sha256, make_request, own_key_sha256
from gatelink.pins import Pin
from sitemanager.exceptions import DaemonError, StateError
from sitemanager.host.lock import FILE_NAME, RemoteAccessLock
from sitemanager.host.state import Known, State, Waiting

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
AUTHORITY = identity.self_signed("ca", NOW, 3650, ca=True)
GM = identity.self_signed("gm", NOW, 3650)
PIN = Pin(GM.certificate, "proof")
KNOWN = Known(peer_id="sm-1", name="press 4", gm_addresses=("gm.example",))


@pytest.fixture
def state(tmp_path: Path) -> State:
    found = State(tmp_path / "state")
    found.prepare()
    return found


def enrolled(state: State) -> Identity:
    key = state.key()
    mine = Identity(identity.issue(make_request(key), AUTHORITY, "sm-1", NOW, 365), key)
    state.enrolled(PIN, mine, KNOWN)
    return mine


def names(state: State) -> set[str]:
    return {path.name for path in state.directory.iterdir()}


def test_key_is_the_same_when_it_is_asked_for_again(state: State) -> None:
    first = own_key_sha256(state.key())
    assert own_key_sha256(State(state.directory).key()) == first
    assert (state.directory / "key.pem").stat().st_mode & 0o777 == 0o600
    assert state.directory.stat().st_mode & 0o777 == 0o700


def test_everything_is_there_when_enrolment_is_done(state: State) -> None:
    state.save_waiting(Waiting(("gm.example",)))
    mine = enrolled(state)
    again = State(state.directory)
    assert again.is_enrolled
    found = again.identity()
    assert found is not None
    assert found.certificate == mine.certificate
    assert again.pin() == PIN
    assert again.known() == KNOWN
    assert names(state) == {"identity.pem", "pin.json", "gatemanager.json"}


@pytest.mark.parametrize("step", range(1, 8))
def test_enrolment_can_be_done_again_when_it_was_killed_at_any_step(
    state: State, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Every rename and removal counts as a step; the kill comes right before it."""
    first = own_key_sha256(state.key())
    left = step

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    replace, unlink = Path.replace, Path.unlink

    def counted_replace(path: Path, target: Path) -> Path:
        count()
        return replace(path, target)

    def counted_unlink(path: Path, missing_ok: bool = False) -> None:
        if ".partial" not in path.name:
            count()
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counted_replace)
        patch.setattr(Path, "unlink", counted_unlink)
        try:
            enrolled(state)
        except KeyboardInterrupt:
            pass
        else:
            assert step > 5, "the kill came too late to be one"
    again = State(state.directory)
    if again.is_enrolled:
        assert again.pin() == PIN
        assert again.known() == KNOWN
        found = again.identity()
        assert found is not None
        assert key_sha256(found.certificate) == first
        again.tidy()
    else:
        assert own_key_sha256(again.key()) == first, "the claim is redeemed again with the same key"
        enrolled(again)
    assert {"identity.pem", "pin.json", "gatemanager.json"} <= names(state)
    assert "key.pem" not in names(state)


@pytest.mark.parametrize("name", ["identity.pem", "pin.json", "gatemanager.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"{}", b"[" * 100_000, b"-----BEGIN PRIVATE KEY-----"])
def test_file_is_named_in_one_line_when_it_is_damaged(state: State, name: str, content: bytes) -> None:
    enrolled(state)
    (state.directory / name).write_bytes(content)
    if name == "gatemanager.json" and content == b"{}":
        assert state.known() == Known()
        return
    with pytest.raises(StateError, match=f"{name} is damaged") as caught:
        (state.identity(), state.pin(), state.known())
    assert "\n" not in str(caught.value)
    assert "sm reset" in str(caught.value)


def test_file_is_named_when_it_cannot_be_read(state: State) -> None:
    (state.directory / "identity.pem").mkdir()
    with pytest.raises(StateError, match="cannot read"):
        state.identity()


def test_configuration_and_lock_stay_when_it_is_reset(state: State) -> None:
    enrolled(state)
    RemoteAccessLock(state.directory).set(locked=True)
    (state.directory / "config.toml").write_text("")
    state.reset()
    assert names(state) == {FILE_NAME, "config.toml"}
    assert not state.is_enrolled
    assert state.pin() is None
    state.reset()


def test_second_sm_is_kept_out_when_one_is_at_work(state: State) -> None:
    with state.exclusive(), pytest.raises(DaemonError, match="another sm"), State(state.directory).exclusive():
        pass
    with state.exclusive():
        pass


def test_nothing_is_written_when_the_names_are_known(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.save_known(KNOWN)
    monkeypatch.setattr(files, "write_atomically", None)
    state.save_known(KNOWN)


def test_access_is_allowed_when_the_file_says_exactly_that(tmp_path: Path) -> None:
    lock = RemoteAccessLock(tmp_path)
    lock.allow_if_new()
    assert lock.reason() is None
    lock.set(locked=True)
    assert lock.reason() == "locked by its owner"
    lock.allow_if_new()
    assert lock.reason() is not None, "an enrolment does not open what the owner locked"
    lock.set(locked=False)
    assert lock.reason() is None


@pytest.mark.parametrize(
    "content", [b"", b"allowed", b"allowed\nx", b"ALLOWED\n", b"\x00" * 8, b"locked", b"unlocked\n"]
)
def test_access_is_locked_when_the_file_says_anything_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert RemoteAccessLock(tmp_path).reason() is not None


def test_access_is_locked_when_the_file_is_missing_or_unreadable(tmp_path: Path) -> None:
    assert "sm unlock" in (RemoteAccessLock(tmp_path).reason() or "")
    (tmp_path / FILE_NAME).mkdir()
    assert "cannot read" in (RemoteAccessLock(tmp_path).reason() or "")
    with pytest.raises(StateError):
        RemoteAccessLock(tmp_path).set(locked=False)

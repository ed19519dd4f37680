"""Where an update goes on after a restart, what RAUC's refusals mean, what the guard may be asked."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gatelink.messages.appliance import FirmwareState
from guard import decisions, requests
from sitemanager.core.refusals import plain
from sitemanager.core.updates import Installation, System, Update, is_older, resumed
from sitemanager.host.slots.guarded import GuardedSlots

A = System("A", "0.1.0")
B = System("B", "0.2.0")
TRIAL = System("B", "0.2.0", trial=True)
FELL_BACK = System("A", "0.1.0", fell_back="B 0.2.0 crashes")
NOTHING = Installation()
RUNS = Installation("u1", "installing", 30)


@pytest.mark.parametrize(
    ("state", "system", "installation", "expected"),
    [
        ("fetching", A, NOTHING, "fetching"),
        ("waiting", A, NOTHING, "waiting"),
        ("installing", A, RUNS, "installing"),
        ("installing", A, NOTHING, "waiting"),
        ("installing", A, Installation("another", "installed"), "waiting"),
        ("installing", TRIAL, NOTHING, "restarting"),
        ("installing", FELL_BACK, NOTHING, "fell-back"),
        ("restarting", A, Installation("u1", "installed"), "restarting"),
        ("restarting", TRIAL, NOTHING, "restarting"),
        ("restarting", B, NOTHING, "good"),
        ("restarting", FELL_BACK, NOTHING, "fell-back"),
        ("restarting", A, NOTHING, "failed"),
    ],
)
def test_update_goes_on_where_it_was_when_the_daemon_starts(
    state: FirmwareState, system: System, installation: Installation, expected: str
) -> None:
    update = Update("u1", "gm", 1000, state=state, from_slot="A")
    assert resumed(update, system, installation).state == expected


def test_upload_that_was_interrupted_is_over() -> None:
    assert resumed(Update("u1", "page", 1000), A, NOTHING).state == "failed"


def test_daemon_and_guard_agree_which_version_is_older() -> None:
    versions = ["0.1.0", "0.1", "0.1.1-rc1", "1.0", "1.0+build5", "0.10", "0.9.9", "x", "", "1..2", "2026.11"]
    for version, than in itertools.product(versions, versions):
        assert is_older(version, than) == decisions.is_older(version, than), (version, than)
    assert is_older("0.9", "0.10")
    assert not is_older("1.0", "1")


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("version 0.0.9 is older than 0.1.0, which runs", "version 0.0.9 is older than 0.1.0, which runs"),
        ("signature verification failed: Verify error: unable to get local issuer certificate", "not signed by"),
        ("signature verification failed: ECDSA digest_verify_final:", "not signed by"),
        ("Invalid bundle format: Signature size is 0", "no complete update"),
        ("Invalid bundle format: Signature size (8971014326528131096) exceeds bundle size", "no complete update"),
        ("Compatible mismatch: Expected 'gatelink-a' but bundle manifest has 'gatelink-b'", "another kind of gateway"),
        ("write failed: No space left on device", "no room"),
        ("something new", "something new"),
        ("", "no reason"),
    ],
)
def test_refusals_are_in_plain_words(said: str, meaning: str) -> None:
    assert meaning in plain(said)


@pytest.mark.parametrize(
    "text",
    [
        "", "install", "install x;reboot", "install $(id)", "install abc --force", "install abc allow-older now",
        "restart now", "install " + "a" * 33, "install ABC", "install a/../b", "\0", "install  abc",
    ],
)  # fmt: skip
def test_guard_does_nothing_that_it_does_not_know(text: str) -> None:
    assert requests.understood(text) == ""


def test_guard_understands_what_the_daemon_asks(tmp_path: Path) -> None:
    slots = GuardedSlots(tmp_path, tmp_path / "run", tmp_path)
    asked = tmp_path / "guard-request"
    slots.install("00ff", allow_older=False)
    assert requests.understood(asked.read_text()) == "install 00ff"
    slots.install("00ff", allow_older=True)
    assert requests.understood(asked.read_text()) == "install 00ff allow-older"
    slots.restart()
    assert requests.understood(asked.read_text()) == "restart"


def test_slots_read_what_guard_and_installer_say(tmp_path: Path) -> None:
    slots = GuardedSlots(tmp_path, tmp_path, tmp_path)
    assert slots.system() is None
    assert slots.installation() == NOTHING
    (tmp_path / "firmware").write_text(
        "slot=B\nversion=0.2.0\nboard=qemu_aarch64\nfell_back=A 0.3.0 crashes\ntrial=1\n"
    )
    assert slots.system() == System("B", "0.2.0", trial=True, board="qemu_aarch64", fell_back="A 0.3.0 crashes")
    (tmp_path / "update").write_text("00ff installing\n")
    (tmp_path / "progress").write_text("installing\n  0% Installing\n 40% Checking bundle done.\n")
    assert slots.installation() == Installation("00ff", "installing", 40)
    (tmp_path / "update").write_text("00ff refused: signature verification failed: x\n")
    assert slots.installation().state == "refused"
    assert slots.installation().reason.startswith("this update is not signed by whom")

"""The plug is pulled at every step and every byte: configuration and events are the old ones or the new ones, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sitemanager import config as config_module
from sitemanager.config import Config, ProxyConfig, to_toml
from sitemanager.host import config_store
from sitemanager.host.config_store import load, load_or_restore, previous, save
from sitemanager.host.outbox import Outbox
from unit.smstore_disk import Disk, restore

FIRST = Config(gm_addresses=("gm.example",), dev_interfaces=("eth1",))
OLD = Config(gm_addresses=("gm.example",), dev_interfaces=("eth1",), ports=(443,))
NEW = Config(
    gm_addresses=("gm.example", "203.0.113.10"), proxies=(ProxyConfig(host="p", port=3128, password="geheim"),)
)


def test_configuration_is_the_old_or_the_new_one_when_the_plug_is_pulled_anywhere(tmp_path: Path) -> None:
    state, crashed = tmp_path / "state", tmp_path / "crashed"
    state.mkdir()
    crashed.mkdir()
    save(state, FIRST)
    save(state, OLD)
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk = Disk(state, monkeypatch)
        save(state, NEW)
    assert [step[0] for step in disk.steps].count("rename") == 2
    seen = set()
    count = 0
    for files in disk.states():
        restore(crashed, files)
        loaded = load_or_restore(crashed)
        assert loaded.notes == (), files.keys()
        assert loaded.config in (OLD, NEW)
        seen.add(loaded.config == NEW)
        assert previous(crashed) in (FIRST, OLD)
        count += 1
    assert seen == {False, True}
    assert count > len(to_toml(NEW))
    for files in disk.left_now():
        restore(crashed, files)
        assert load(crashed) == NEW


@pytest.mark.parametrize("damage", [b"", b"\0" * 300, b"\xff\xfe", b"ports = [", b"port = 5\n", None])
def test_previous_configuration_is_taken_when_the_present_one_is_damaged(tmp_path: Path, damage: bytes | None) -> None:
    save(tmp_path, OLD)
    save(tmp_path, NEW)
    path = tmp_path / "config.toml"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage or b"version = 9\n")
    loaded = load_or_restore(tmp_path)
    assert loaded.config == OLD
    assert "config.toml.previous is in force" in loaded.notes[0]
    assert load(tmp_path) == OLD
    if damage:
        assert (tmp_path / "config.toml.damaged").read_bytes() == damage
    assert "geheim" not in str(loaded.notes)


def test_defaults_are_in_force_when_nothing_good_is_left(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"[")
    (tmp_path / "config.toml.previous").write_bytes(b"\0")
    loaded = load_or_restore(tmp_path)
    assert loaded.config == Config()
    assert "defaults" in loaded.notes[0]
    assert load_or_restore(tmp_path).notes == ()


def test_previous_one_is_not_lost_when_a_damaged_one_is_replaced(tmp_path: Path) -> None:
    save(tmp_path, FIRST)
    save(tmp_path, OLD)
    (tmp_path / "config.toml").write_bytes(b"[")
    save(tmp_path, NEW)
    assert load(tmp_path) == NEW
    assert previous(tmp_path) == FIRST


def test_earlier_schema_is_migrated_and_kept_for_a_rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later software renames a key; the one before it, after a rollback of the firmware, finds its own file."""
    save(tmp_path, OLD)
    monkeypatch.setattr(config_module, "SCHEMA", 2)
    monkeypatch.setattr(config_store, "SCHEMA", 2)
    migration = [lambda values: {**values, "max_sessions": 3}]
    monkeypatch.setattr(config_module, "MIGRATIONS", migration)
    monkeypatch.setattr(config_module, "migrated", lambda values, version: {**migration[0](values), "version": 1})
    assert load(tmp_path).max_sessions == 3
    save(tmp_path, NEW)
    monkeypatch.undo()
    (tmp_path / "config.toml").write_bytes(b"version = 2\nnew_key = 1\n")
    (tmp_path / "config.toml.previous").write_bytes(b"version = 2\nnew_key = 1\n")
    assert load_or_restore(tmp_path).config == OLD


def test_events_are_there_in_order_and_once_when_the_plug_is_pulled_anywhere(tmp_path: Path) -> None:
    state, crashed = tmp_path / "state", tmp_path / "crashed"
    state.mkdir()
    crashed.mkdir()
    box = Outbox(state, lambda: 1000.0)
    for number in range(3):
        box.enqueue("alarm", f"before {number}")
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk = Disk(state, monkeypatch)
        box.enqueue("alarm", "new one")
        box.acknowledge(2)
        box.enqueue("alarm", "newest")
    for files in disk.states():
        restore(crashed, files)
        again = Outbox(crashed, lambda: 1000.0)
        texts = [event.text for event in again.pending(99)]
        numbers = [event.number for event in again.pending(99)]
        assert numbers == sorted(set(numbers))
        whole = ["before 0", "before 1", "before 2", "new one", "newest"]
        assert texts == whole[whole.index(texts[0]) : whole.index(texts[-1]) + 1]
        assert "before 2" in texts
        fresh = again.enqueue("alarm", "after the cut")
        assert fresh > max(numbers)
        assert [event.text for event in Outbox(crashed, lambda: 1.0).pending(99)] == [*texts, "after the cut"]
    for files in disk.left_now():
        restore(crashed, files)
        assert [event.text for event in Outbox(crashed, lambda: 1.0).pending(99)] == ["before 2", "new one", "newest"]


def test_events_are_kept_over_restarts_until_they_are_acknowledged(tmp_path: Path) -> None:
    box = Outbox(tmp_path, lambda: 5.0)
    numbers = [box.enqueue("audit", f"entry {index}") for index in range(10)]
    assert numbers == list(range(1, 11))
    again = Outbox(tmp_path, lambda: 6.0)
    assert [event.number for event in again.pending(4)] == [1, 2, 3, 4]
    again.acknowledge(7)
    again.acknowledge(3)
    again.acknowledge(4000)
    third = Outbox(tmp_path, lambda: 7.0)
    assert [event.number for event in third.pending(99)] == [8, 9, 10]
    third.acknowledge(10)
    assert len(third) == 0
    assert Outbox(tmp_path, lambda: 8.0).enqueue("audit", "next") == 11


def test_oldest_events_give_way_and_one_says_so_when_the_store_is_full(tmp_path: Path) -> None:
    box = Outbox(tmp_path, lambda: 5.0, most_events=20)
    for index in range(1500):
        box.enqueue("alarm", f"event {index} {'x' * 300}")
    for found in (box, Outbox(tmp_path, lambda: 5.0, most_events=20)):
        pending = found.pending(99)
        assert len(pending) == 21
        assert pending[0].kind == "events-lost"
        assert "1480 older entries" in pending[0].text
        assert [event.number for event in pending] == list(range(1480, 1501))
    assert (tmp_path / "events.log").stat().st_size < 600_000
    box.acknowledge(1480)
    assert box.pending(1)[0].number == 1481


@pytest.mark.parametrize("data", [b"\0" * 100, b"garbage" * 50, b"\xff" * 9])
def test_numbers_go_on_above_all_before_when_the_file_is_garbage(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "events.log").write_bytes(data)
    box = Outbox(tmp_path, lambda: 1_790_000_000.0)
    assert box.enqueue("alarm", "first") == 1_790_000_001
    assert Outbox(tmp_path, lambda: 0.0).enqueue("alarm", "second") == 1_790_000_002

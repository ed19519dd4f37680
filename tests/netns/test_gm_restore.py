"""A backup restored on another machine: SiteManager, LinkManager and their session come back without anybody's help."""

from __future__ import annotations

import shutil

import pytest

from lab import Lab, wait_until
from lab.products import APPLIANCE, GateManager
from netns.link_ground import Poller, quick_system, session_of, wait_until_resumed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
PASSPHRASE = "nine wet otters"
DEADLINE_S = 60


def test_everybody_and_the_running_session_come_back_when_a_backup_is_restored_on_another_machine(lab: Lab) -> None:
    system = quick_system(lab)
    old, secret = system.gm, lab.run_directory / "passphrase"
    kept, log = lab.run_directory / "gm.backup", lab.run_directory / "audit.jsonl"
    secret.write_text(PASSPHRASE + "\n")
    system.lm.run("connect", APPLIANCE)
    before = session_of(system.lm)
    poller = Poller(system.lm.place, patience_s=90, period_s=0.2)
    shown = old.ask("certificate", "show")
    # While everybody works; what comes later is lost with the machine.
    old.run("backup", str(kept), "--passphrase-file", str(secret))
    old.run("users", "add", "late", "--domain", "acme")
    old.kill9()
    shutil.rmtree(old.data)

    system.gm = new = GateManager(lab, name="another-machine")
    told = new.run("restore", str(kept), "--passphrase-file", str(secret), "--yes").stdout
    assert shown["serial"] in told
    new.start()
    wait_until(new.is_online, DEADLINE_S, "the SM to come by itself")
    wait_until(lambda: system.lm.ask("status")["connected"], DEADLINE_S, "the LM to come by itself")
    after = wait_until_resumed(system.lm, DEADLINE_S)
    assert before is not None
    assert after["interface"] == before["interface"]
    # Over the very connection that was open before.
    poller.wait_for_answer(DEADLINE_S)
    assert not [line for line in tuple(poller.process.lines) if line.startswith("lost")]

    # As it was when the backup was made, and one unbroken log of all, signed by the key that everybody pinned.
    names = {row["name"] for row in new.ask("users", "list")}
    assert "ann" in names
    assert "late" not in names
    assert [row["appliance"] for row in new.ask("sessions", "list")] == [APPLIANCE]
    new.run("audit", "export", "-o", str(log))
    elsewhere = GateManager(lab, name="nobodys")
    assert "good:" in elsewhere.run("audit", "verify", str(log), "--key", shown["key"]).stdout
    text = log.read_text()
    assert all(f'"{event}"' in text for event in ("server.backup-made", "server.restored", "session.opened"))
    poller.stop()

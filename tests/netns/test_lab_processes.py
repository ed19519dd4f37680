"""Programs in places: waited for, ended, ended with the lab; and the PLC that everybody uses."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from lab import CommandFailed, Lab, LabError, TimedOut, rights, wait_until

pytestmark = pytest.mark.netns


def test_line_is_found_when_it_comes_later(module_lab: Lab) -> None:
    process = module_lab.pc.start(["sh", "-c", "echo first; sleep 0.2; echo ready on 4711; exec sleep 100"])
    assert process.wait_for_line(r"ready on (\d+)")[1] == "4711"
    assert process.wait_for_line("first")[0] == "first"
    assert process.returncode is None
    assert process.log_path.read_text() == "first\nready on 4711\n"
    process.kill9()
    assert process.returncode == -signal.SIGKILL


def test_wait_for_line_fails_at_once_when_the_program_ends(module_lab: Lab) -> None:
    process = module_lab.pc.start(["sh", "-c", "echo no such file >&2; exit 3"])
    begin = time.monotonic()
    with pytest.raises(
        CommandFailed, match=r"sh in pc ended \(3\) without saying 'ready'; its last lines: no such file"
    ):
        process.wait_for_line("ready", 30)
    assert time.monotonic() - begin < 5


def test_wait_for_line_fails_when_the_deadline_is_over(module_lab: Lab) -> None:
    process = module_lab.pc.start(["sh", "-c", "echo starting; exec sleep 100"])
    process.wait_for_line("starting")
    with pytest.raises(TimedOut, match=r"did not say 'ready' within 0\.05 s; its last lines: starting"):
        process.wait_for_line("ready", 0.05)
    with pytest.raises(TimedOut, match="did not say"):
        process.wait_for_line("starting", 0.05, after=1)
    process.kill9()


def test_terminate_returns_the_status(module_lab: Lab) -> None:
    process = module_lab.pc.start(["sh", "-c", "trap 'exit 7' TERM; echo on; while :; do sleep 0.01; done"])
    process.wait_for_line("on")
    assert process.terminate() == 7


def test_terminate_kills_when_the_program_does_not_listen(module_lab: Lab) -> None:
    process = module_lab.pc.start(["sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.01; done"])
    process.wait_for_line("on")
    with pytest.raises(TimedOut, match="did not end"):
        process.terminate(0.1)
    assert process.returncode == -signal.SIGKILL


def test_program_reads_what_it_is_given(module_lab: Lab) -> None:
    process = module_lab.pc.start(["cat"], stdin_text="a password\n")
    assert process.wait() == 0
    assert process.lines == ["a password"]


def test_command_gives_its_output(module_lab: Lab) -> None:
    done = module_lab.pc.run(["sh", "-c", "cat; echo $WORD; echo oh >&2"], stdin_text="in\n", env={"WORD": "w"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "in\nw\n", "oh\n")


def test_command_that_fails_is_an_error_with_what_it_said(module_lab: Lab) -> None:
    with pytest.raises(CommandFailed, match=r"`sh -c 'echo oh >&2; exit 4'` in pc ended with status 4: oh"):
        module_lab.pc.run(["sh", "-c", "echo oh >&2; exit 4"])
    assert module_lab.pc.run(["sh", "-c", "exit 4"], check=False).returncode == 4
    with pytest.raises(CommandFailed, match=r"`sleep 100` in pc did not end within 0\.1 s"):
        module_lab.pc.run(["sleep", "100"], timeout_s=0.1)


def test_program_runs_as_another_user_without_rights(module_lab: Lab) -> None:
    if not rights.has_every_user():
        with pytest.raises(LabError, match="user namespace, which has root alone"):
            module_lab.pc.run(["id"], user="nobody")
        return
    status = module_lab.pc.run(["cat", "/proc/self/status"], user="nobody").stdout
    assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert "CapEff:\t0000000000000000" in status
    assert module_lab.pc.run(["id", "-u"], user=1234).stdout == "1234\n"
    with pytest.raises(LabError, match="no user 'noone-of-this-name'"):
        module_lab.pc.run(["id"], user="noone-of-this-name")


def test_wait_until_says_what_it_saw_last() -> None:
    seen = iter(range(-3, 1000))
    assert wait_until(lambda: next(seen) + 1, 5, "minus two") == -2
    with pytest.raises(TimedOut, match=r"waited 0\.05 s for the moon; seen last: \[\]"):
        wait_until(list, 0.05, "the moon")


def test_everything_ends_with_the_lab_when_programs_hide() -> None:
    """Daemons in sessions of their own, which hold the log open, too."""
    prefix = os.environ.get("GATELINK_LAB_PREFIX", "glt") + "x"
    with Lab(prefix) as lab:
        lab.pc.start(["sh", "-c", "setsid sleep 1000 & echo $!"]).wait_for_line(r"\d+")
        lab.plant.start(["sleep", "1000"])
        directory = lab.run_directory
        hidden = lab.pc.run(["ip", "netns", "pids", f"{prefix}-pc"]).stdout.split()
        assert hidden
    assert not any(Path(f"/proc/{pid}/cwd").exists() for pid in hidden)
    assert not directory.exists()
    assert not list(Path("/run/netns").glob(f"{prefix}-*"))


def test_plc_shows_changing_values_to_an_ordinary_client(module_lab: Lab) -> None:
    module_lab.plant.start_module("lab.plc").wait_for_line("PLC listens on 192.168.50.10:502")
    client = module_lab.site.start_module("lab.modbus_client", "--polls", "4", "--period", "0.15")
    assert client.wait() == 0
    rows = [[int(word) for word in line.split(": ")[1].split()] for line in client.lines]
    counters = [row[0] for row in rows]
    assert counters == sorted(set(counters))
    assert all(200 <= level <= 800 and 650 <= temperature <= 750 for _, level, temperature, _ in rows)


def test_client_says_in_one_line_that_the_plc_does_not_answer(module_lab: Lab) -> None:
    done = module_lab.site.run(
        [sys.executable, "-m", "lab.modbus_client", "--address", "192.168.50.99", "--timeout", "0.3"],
        env={"PYTHONPATH": str(Path(__file__).parent.parent)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "no connection to the PLC at 192.168.50.99:502 within 0.3 s\n")


def test_echo_tells_who_came(module_lab: Lab) -> None:
    echo = module_lab.plant.start_module("lab.echo", "--tcp", "7", "--udp", "7")
    echo.wait_for_line("listens")
    script = (
        "import socket\nt=socket.create_connection(('192.168.50.10',7)); t.sendall(b'hi'); print(t.recv(9))\n"
        "u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); u.sendto(b'ho',('192.168.50.10',7)); print(u.recv(9))\n"
        "v=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); v.sendto(b'he',('fd00:50:1::10',7)); print(v.recv(9))"
    )
    assert module_lab.site.run([sys.executable, "-c", script]).stdout == "b'hi'\nb'ho'\nb'he'\n"
    echo.wait_for_line("tcp 7 from 192.168.50.1")
    echo.wait_for_line("udp 7 from 192.168.50.1")
    echo.wait_for_line("udp 7 from fd00:50:1::1")

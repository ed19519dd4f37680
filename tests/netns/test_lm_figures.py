"""Figures of the LinkManager, printed: from `lm connect` to the first answered ping, and what an idle one costs."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from lab import Lab, ping, wait_until
from lab.products import PLC_ADDRESS, System

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
TIMES = 5
IDLE_S = 10.0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_connect_and_idle_are_measured(lab: Lab) -> None:
    with System(lab) as system:
        lm = system.lm
        commands, sessions, firsts = [], [], []
        for _ in range(TIMES):
            begin = time.perf_counter()
            answer = json.loads(lm.run("connect", "press", "--json").stdout)
            commands.append(time.perf_counter() - begin)
            assert ping(lab.pc, PLC_ADDRESS, 1).received == 1
            firsts.append(time.perf_counter() - begin)
            sessions.append(answer["took_s"])
            lm.run("disconnect", "press")
        lm.run("connect", "press")
        link = lm.run("ui", "--print").stdout.strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/enter\?word=\S+", link)
        page = int(lab.pc.run(["pgrep", "-f", f"lm_client.page {lm.home}"]).stdout.split()[0])
        assert lm.service is not None
        service = int(lab.pc.run(["pgrep", "-f", f"lm service --socket {lm.socket}"]).stdout.split()[-1])
        pids = {"agent": lm.agent_pid, "page": page, "service": service}
        before = {name: _cpu_s(pid) for name, pid in pids.items()}
        begin = time.monotonic()
        wait_until(lambda: time.monotonic() - begin > IDLE_S, IDLE_S + 5, "some idle seconds")
        used = {name: (_cpu_s(pid) - before[name]) / IDLE_S for name, pid in pids.items()}
        shares = ", ".join(f"{name} {share * 100:.2f} %" for name, share in used.items())
        print(
            f"\nlm connect: session {min(sessions) * 1000:.0f} ms, command {min(commands) * 1000:.0f} ms, "
            f"to the first answered ping {min(firsts) * 1000:.0f} ms (best of {TIMES})\n"
            f"idle with a session open: {shares} of a processor"
        )
        assert max(used.values()) < 0.2  # near zero on a machine of its own

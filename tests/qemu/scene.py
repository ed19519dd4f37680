"""The usual scene: GateManager and PLC in their places, an emulated gateway, an engineer."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from lab.exceptions import CommandFailed, TimedOut
from lab.lab import Lab
from lab.products import APPLIANCE, DEVICE, PLC_ADDRESS, USER, System
from qemu import kept
from qemu.gateway import BUILD, CARD, Gateway, provisioning

DEADLINE_S: Final = 1800.0
"""Ten times what it takes on a quiet machine."""
LOGS: Final = BUILD.parent / "qemu-logs"


class Scene:
    """A lab with a gateway in it: a new card, or (`connected`) one that was set up before. The PLC runs."""

    def __init__(self, prefix: str, card: Path = CARD) -> None:
        self.lab = Lab(prefix)
        self.lab.up()
        self.system = System(self.lab)
        self.system.start_plc()
        self.gateway = Gateway(self.lab, card)

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gateway.pull_plug()
        self.lab.down()

    def provision(self) -> None:
        """A GateManager, and a fresh claim and the lab's addresses on the card."""
        self.system.start_gm()
        self.gateway.provision(provisioning(self.system.gm.claim()))

    def set_up(self) -> None:
        """From the first power-on until the gateway is connected and its slot is good; then the PLC is granted."""
        self.provision()
        self.gateway.power_on()
        self.wait_until_online(DEADLINE_S)
        self.gateway.wait_for_shell(DEADLINE_S)
        self.grant_plc()

    def keep(self, stamp: str) -> None:
        """Keep the gateway and the GateManager as they are now, for `connected`; both go on."""
        kept.forget()
        self.gateway.shell.run("sync")
        self.gateway.shell.close()
        self.gateway.emulator.keep(kept.DIRECTORY)
        gm = self.system.gm
        assert gm.process is not None
        gm.process.terminate()
        kept.copy_tree(gm.data, kept.DIRECTORY / "gm")
        gm.start()
        self.gateway.emulator.go_on()
        kept.complete(stamp)

    def go_on(self) -> None:
        """Go on where the kept gateway was connected and good; all that happened later is forgotten."""
        self.lay_out()
        self.rewind()
        self.wait_until_online(DEADLINE_S)

    def lay_out(self) -> None:
        """The kept gateway's card and its GateManager, with the power off: as after a pulled plug."""
        gm = self.system.gm
        if gm.process is not None and gm.process.returncode is None:
            gm.process.terminate()
        kept.copy_tree(kept.DIRECTORY / "gm", gm.data)
        gm.start()
        self.gateway.insert(kept.DIRECTORY / "card.img")

    def rewind(self) -> None:
        """The same, of the gateway alone: whoever does not ask the GateManager has it sooner."""
        self.gateway.emulator.restore(kept.DIRECTORY)
        self.gateway.shell.wait_until_there(DEADLINE_S)

    def wait_until_online(self, deadline_s: float) -> float:
        """Wait until the GateManager says that the gateway is connected; seconds that it took."""
        begin = time.monotonic()
        while not self.is_online():
            if time.monotonic() - begin > deadline_s:
                raise TimedOut(f"the gateway was not connected within {deadline_s:g} s")
            time.sleep(0.5)
        return time.monotonic() - begin

    def is_online(self) -> bool:
        """By the GateManager's log: asking it by a command costs more than the emulator gets on a busy machine."""
        gm = self.system.gm.process
        said = [
            row for row in (gm.lines if gm else ()) if f" {APPLIANCE} connected" in row or f" {APPLIANCE} disc" in row
        ]
        return bool(said) and f"{APPLIANCE} connected" in said[-1]

    def grant_plc(self) -> None:
        """The engineer may reach the PLC: Modbus and ping."""
        self.system.add_device(DEVICE, PLC_ADDRESS, "modbus", "ping")
        self.system.gm.run("grants", "add", USER, "--appliance", APPLIANCE)

    def connect(self) -> None:
        """An engineer connects. On a busy machine the emulated gateway needs longer for its first session than the 30 s
        in which both sides have to come: then it is asked again."""
        end = time.monotonic() + DEADLINE_S
        while True:
            done = self.system.lm.run("connect", APPLIANCE, check=False, timeout_s=300)
            if done.returncode == 0:
                return
            if "30 s" not in done.stdout + done.stderr or time.monotonic() > end:
                raise CommandFailed(f"`lm connect` ended with status {done.returncode}: {done.stderr or done.stdout}")

    def keep_log(self, name: str) -> Path:
        """Keep the serial console's log of a failed test; where it is."""
        LOGS.mkdir(parents=True, exist_ok=True)
        kept = LOGS / f"{name}.log"
        process = self.gateway.emulator.process
        if process is not None:
            shutil.copy(process.log_path, kept)
        return kept

    def console_tail(self, lines: int = 80) -> str:
        """The end of what the serial console said."""
        process = self.gateway.emulator.process
        return "\n".join(process.lines[-lines:]) if process is not None else "never powered on"

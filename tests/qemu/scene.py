"""The usual scene: GateManager and PLC in their places, an emulated gateway, an engineer."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from lab.exceptions import TimedOut
from lab.lab import Lab
from lab.products import APPLIANCE, DEVICE, PLC_ADDRESS, USER, System
from qemu.gateway import BUILD, CARD, Gateway, provisioning

LOGS: Final = BUILD.parent / "qemu-logs"


class Scene:
    """A lab with a gateway in it. ``keep_log`` is called for a failed test."""

    def __init__(self, prefix: str, card: Path = CARD, more: tuple[str, ...] = ()) -> None:
        self.lab = Lab(prefix)
        self.lab.up()
        self.system = System(self.lab)
        self.system.start_plc()
        self.system.start_gm()
        self.gateway = Gateway(self.lab, card, more=more)

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gateway.pull_plug()
        self.lab.down()

    def provision(self) -> None:
        """Put a fresh claim and the lab's addresses onto the card."""
        self.gateway.provision(provisioning(self.system.gm.claim()))

    def wait_until_online(self, deadline_s: float) -> float:
        """Wait until the GateManager says that the gateway is connected; seconds that it took."""
        begin = time.monotonic()
        while not self.system.gm.is_online():
            if time.monotonic() - begin > deadline_s:
                raise TimedOut(f"the gateway was not connected within {deadline_s:g} s")
            time.sleep(0.5)
        return time.monotonic() - begin

    def grant_plc(self) -> None:
        """The engineer may reach the PLC: Modbus and ping."""
        self.system.add_device(DEVICE, PLC_ADDRESS, "modbus", "ping")
        self.system.gm.run("grants", "add", USER, "--appliance", APPLIANCE)

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

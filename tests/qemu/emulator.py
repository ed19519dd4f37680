"""One QEMU with the card in it: power on, pull the plug, console log, root shell; a running machine can be kept."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.places import Place
from lab.processes import Process
from qemu.monitor import Monitor
from qemu.shell import Shell

PROGRAM: Final = "qemu-system-aarch64"
MEMORY_MIB: Final = 256


@dataclass(frozen=True, slots=True)
class Hardware:
    """What stands on the table. It is the same for every test: a kept machine goes on in no other."""

    card: Path
    firmware: Path
    taps: Sequence[str]
    """Network ports, in order: uplink, machine side. They are there already."""
    directory: Path
    """For sockets and logs."""
    stick: Path
    """A USB stick's image, read alone."""

    @property
    def serial(self) -> Path:
        """Where the far end of the gateway's serial port (ttyS0) is."""
        return self.directory / "serial.sock"

    @property
    def monitor(self) -> Path:
        """Where the emulator takes commands."""
        return self.directory / "monitor.sock"


class Emulator:
    """Power on, off, on again; the card keeps what was written to it."""

    def __init__(self, place: Place, hardware: Hardware) -> None:
        self._place = place
        self.hardware = hardware
        self.process: Process | None = None
        self.shell = Shell(hardware.directory / "shell.sock")

    def power_on(self) -> Process:
        """Start; returns at once. What the serial console says is in the process's lines."""
        self.process = self._place.start(self.argv(), name="gateway")
        return self.process

    def pull_plug(self) -> None:
        """The power goes, at once."""
        self.shell.close()
        if self.process is not None:
            self.process.kill9()

    def keep(self, directory: Path) -> None:
        """Halt the machine and keep memory and card; `go_on` is to be called here, or somewhere else `restore`."""
        directory.mkdir(parents=True, exist_ok=True)
        with Monitor(self.hardware.monitor) as monitor:
            monitor.run("stop")
            monitor.run("migrate", uri=f"exec:cat >'{directory / 'memory'}'")
            monitor.wait_for_state("postmigrate")
        copy_card(self.hardware.card, directory / "card.img")

    def go_on(self) -> None:
        """The halted machine runs again."""
        with Monitor(self.hardware.monitor) as monitor:
            monitor.run("cont")

    def restore(self, directory: Path) -> None:
        """Go on as the machine that was kept: its card, its memory, the moment at which it was halted."""
        self.pull_plug()
        copy_card(directory / "card.img", self.hardware.card)
        self.process = self._place.start(
            [*self.argv(), "-incoming", f"exec:cat '{directory / 'memory'}'"], name="gateway"
        )
        with Monitor(self.hardware.monitor) as monitor:
            monitor.wait_for_state("paused")
            monitor.run("cont")

    def wait_for_console(self, pattern: str, deadline_s: float, *, after: int = 0) -> str:
        """Wait for a line on the serial console; the first group, or the line."""
        assert self.process is not None
        match = self.process.wait_for_line(pattern, deadline_s, after=after)
        return match[1] if match.groups() else match[0]

    def argv(self) -> list[str]:
        """The emulated machine."""
        hardware = self.hardware
        argv = [PROGRAM, "-M", "virt", "-cpu", "max,pauth=off", "-smp", "1", "-m", str(MEMORY_MIB)]
        argv += ["-bios", str(hardware.firmware), "-display", "none", "-monitor", "none", "-serial", "stdio"]
        argv += ["-drive", f"if=none,id=card,file={hardware.card},format=raw,cache=writeback"]
        argv += ["-device", "virtio-blk-pci,drive=card", "-device", "virtio-rng-pci", "-device", "i6300esb"]
        for number, tap in enumerate(hardware.taps):
            argv += ["-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no"]
            argv += ["-device", f"virtio-net-pci,netdev=net{number},mac=52:54:00:67:6c:{number + 1:02x}"]
        argv += ["-device", "virtio-serial-pci", "-device", "virtconsole,chardev=shell"]
        argv += ["-chardev", f"socket,id=shell,path={hardware.directory / 'shell.sock'},server=on,wait=off"]
        argv += ["-chardev", f"socket,id=serial,path={hardware.serial},server=on,wait=off"]
        argv += ["-device", "pci-serial,chardev=serial"]
        argv += ["-drive", f"if=none,id=stick,file={hardware.stick},format=raw,readonly=on"]
        argv += ["-device", "virtio-blk-pci,drive=stick"]
        return [*argv, "-qmp", f"unix:{hardware.monitor},server=on,wait=off"]


def copy_card(source: Path, target: Path) -> Path:
    """A card of one's own, sparse."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)
    return target


def is_installed() -> bool:
    """Whether this machine has the emulator."""
    return shutil.which(PROGRAM) is not None

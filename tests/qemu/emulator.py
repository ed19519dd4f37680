"""One QEMU with the card in it: power on, pull the plug, console log, root shell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.places import Place
from lab.processes import Process
from qemu.shell import Shell

PROGRAM: Final = "qemu-system-aarch64"
MEMORY_MIB: Final = 256


@dataclass(frozen=True, slots=True)
class Hardware:
    """What stands on the table."""

    card: Path
    firmware: Path
    taps: Sequence[str]
    """Network ports, in order: uplink, machine side. They are there already."""
    directory: Path
    """For sockets and logs."""
    memory_mib: int = MEMORY_MIB
    more: Sequence[str] = field(default_factory=tuple)


class Emulator:
    """Power on, off, on again; the card keeps what was written to it."""

    def __init__(self, place: Place, hardware: Hardware) -> None:
        self._place = place
        self.hardware = hardware
        self.process: Process | None = None
        self.shell = Shell(hardware.directory / "shell.sock")

    def power_on(self) -> Process:
        """Start; returns at once. What the serial console says is in the process's lines."""
        self.process = self._place.start(self._argv(), name="gateway")
        return self.process

    def pull_plug(self) -> None:
        """The power goes, at once."""
        self.shell.close()
        if self.process is not None:
            self.process.kill9()

    def wait_for_console(self, pattern: str, deadline_s: float, *, after: int = 0) -> str:
        """Wait for a line on the serial console; the first group, or the line."""
        assert self.process is not None
        match = self.process.wait_for_line(pattern, deadline_s, after=after)
        return match[1] if match.groups() else match[0]

    def _argv(self) -> list[str]:
        hardware = self.hardware
        argv = [PROGRAM, "-M", "virt", "-cpu", "max,pauth=off", "-smp", "1", "-m", str(hardware.memory_mib)]
        argv += ["-bios", str(hardware.firmware), "-display", "none", "-monitor", "none", "-serial", "stdio"]
        argv += ["-drive", f"if=none,id=card,file={hardware.card},format=raw,cache=writeback"]
        argv += ["-device", "virtio-blk-pci,drive=card", "-device", "virtio-rng-pci", "-device", "i6300esb"]
        for number, tap in enumerate(hardware.taps):
            argv += ["-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no"]
            argv += ["-device", f"virtio-net-pci,netdev=net{number},mac=52:54:00:67:6c:{number + 1:02x}"]
        argv += ["-device", "virtio-serial-pci", "-device", "virtconsole,chardev=shell"]
        argv += ["-chardev", f"socket,id=shell,path={hardware.directory / 'shell.sock'},server=on,wait=off"]
        return [*argv, *hardware.more]


def copy_card(source: Path, target: Path) -> Path:
    """A card of one's own, sparse."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)
    return target


def is_installed() -> bool:
    """Whether this machine has the emulator."""
    return shutil.which(PROGRAM) is not None

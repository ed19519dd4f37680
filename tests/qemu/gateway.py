"""The emulated gateway in the place `site`: it has the place's cables, and the addresses that were the place's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lab import namespaces
from lab.lab import Lab
from lab.places import Place
from qemu.emulator import Emulator, Hardware, copy_card

BUILD: Final = Path(__file__).resolve().parents[2] / "build" / "image"
CARD: Final = Path(os.environ.get("GATELINK_IMAGE") or BUILD / "gatelink.img")
FIRMWARE: Final = Path(os.environ.get("GATELINK_IMAGE_FIRMWARE") or BUILD / "u-boot.bin")
UPLINK: Final = "10.20.1.2/24"
UPLINK_GATEWAY: Final = "10.20.1.1"
MACHINE: Final = "192.168.50.1/24"
STICK_MIB: Final = 400
_MIB: Final = 1 << 20
_BOOT_OFFSET: Final = 4 * _MIB
"""Where the boot partition begins on the card (tools/image/disk.py)."""
SLOT_OFFSETS: Final = {"A": 68 * _MIB, "B": 260 * _MIB}
DATA_OFFSET: Final = 452 * _MIB
TABLE_OFFSET: Final = 446
"""Of the partition table: four entries of 16 bytes."""

_CABLES: Final = """\
link add {bridge} type bridge
link set {bridge} type bridge forward_delay 0 mcast_snooping 0
link set {bridge} up
tuntap add dev {tap} mode tap
link set {tap} up
link set {tap} master {bridge}
addr flush dev {port}
link set {port} master {bridge}
"""


class Gateway:
    """A card, its emulator, and where it stands. `provision` before `power_on`, as a person would."""

    def __init__(self, lab: Lab, card: Path = CARD, place: Place | None = None) -> None:
        self.place = place or lab.site
        self.directory = lab.run_directory / f"gateway-{self.place.name}"
        self.directory.mkdir(exist_ok=True)
        self.card = copy_card(card, self.directory / "card.img")
        self.stick = self.directory / "stick.img"
        with self.stick.open("wb") as file:
            file.truncate(STICK_MIB << 20)
        self._plug_in()
        hardware = Hardware(self.card, FIRMWARE, ("tap-up", "tap-dev"), self.directory, self.stick)
        self.emulator = Emulator(self.place, hardware)
        self.shell = self.emulator.shell

    @property
    def serial(self) -> Path:
        """The socket at the far end of the gateway's serial port."""
        return self.emulator.hardware.serial

    def put_on_stick(self, files: Mapping[str, Path]) -> None:
        """What the stick holds, before anybody looks at it."""
        subprocess.run(["mkfs.fat", "-F", "32", self.stick], check=True, capture_output=True)
        for name, source in files.items():
            subprocess.run(["mcopy", "-i", self.stick, source, f"::{name}"], check=True)

    def write_slot(self, slot: str, image: Path) -> None:
        """Put a system into a slot of the card while the power is off, as an installation would have."""
        with image.open("rb") as source, self.card.open("r+b") as card:
            card.seek(SLOT_OFFSETS[slot])
            shutil.copyfileobj(source, card, 1 << 20)

    def overwrite(self, offset: int, data: bytes) -> None:
        """Change bytes of the card while the power is off."""
        with self.card.open("r+b") as card:
            card.seek(offset)
            card.write(data)

    def insert(self, card: Path) -> None:
        """Another card goes in, with the power off."""
        self.pull_plug()
        copy_card(card, self.card)

    def provision(self, text: str, name: str = "gatelink.toml") -> None:
        """Put a file onto the card's boot partition, as a person does with the card in his PC."""
        target = f"{self.card}@@{_BOOT_OFFSET}"
        argv = ["mcopy", "-o", "-i", target, "-", f"::{name}"]
        subprocess.run(argv, input=text.encode(), check=True, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})

    def boot_file(self, name: str) -> str | None:
        """What a file on the boot partition says; None if there is none."""
        argv = ["mtype", "-i", f"{self.card}@@{_BOOT_OFFSET}", f"::{name}"]
        done = subprocess.run(argv, capture_output=True, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
        return done.stdout.decode() if done.returncode == 0 else None

    def power_on(self) -> None:
        """Start it."""
        self.emulator.power_on()

    def pull_plug(self) -> None:
        """The power goes."""
        self.emulator.pull_plug()

    def wait_for_shell(self, deadline_s: float = 400.0) -> None:
        """Wait until commands can be run inside."""
        self.emulator.wait_for_console(r"Starting kernel", deadline_s)
        self.shell.wait_until_there(deadline_s)

    def _plug_in(self) -> None:
        """The place becomes two cables: what it had on eth0 and eth1 the gateway has."""
        script = ""
        for bridge, tap, port in (("cable-up", "tap-up", "eth0"), ("cable-dev", "tap-dev", "eth1")):
            script += _CABLES.format(bridge=bridge, tap=tap, port=port)
        namespaces.command(["ip", "-n", self.place.namespace, "-batch", "-"], script)


def provisioning(claim: str, **more: str) -> str:
    """The usual file: a claim and the addresses that the place has in the lab."""
    lines = [f'claim = "{claim}"', "[network]", f'uplink = "{UPLINK}"', f'gateway = "{UPLINK_GATEWAY}"']
    lines += [f'machine = "{MACHINE}"', *(f"{key} = {value}" for key, value in more.items())]
    return "\n".join([*lines, ""])

"""Update bundles for tests: good ones, and every kind of bad one; on a stick that is plugged into the gateway."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard import bootstate
from image import bundle, slots
from qemu.gateway import BUILD, Gateway

COMPATIBLE: Final = "gatelink-qemu-aarch64"


def signed(
    slot: Path, target: Path, version: str = "0.2.0", compatible: str = COMPATIBLE, keys: Path | None = None
) -> Path:
    """A bundle of a slot, signed by the development authority or by another one."""
    directory = bundle.development_keys(keys) if keys else bundle.development_keys()
    bundle.build(slot, target, compatible, version, str(directory / "signer.pem"), str(directory / "signer.key"))
    return target


def changed_slot(directory: Path, version: str, change: Callable[[Path], object]) -> Path:
    """This tree's system with a change, as a slot."""
    root = directory / f"root-{version}"
    subprocess.run(["cp", "-a", BUILD / "root", root], check=True)
    (root / "etc/gatelink/version").write_text(f"{version}\n")
    change(root)
    slot = directory / f"slot-{version}.ext4"
    slots.build(root, slot)
    shutil.rmtree(root)
    return slot


def tiny_slot(directory: Path) -> Path:
    """Too small to be a system; what is refused before anything is written needs no more."""
    slot = directory / "tiny.img"
    slot.write_bytes(random.Random(1).randbytes(70_000))
    return slot


def flipped(source: Path, target: Path, offset: int) -> Path:
    """A copy with one bit flipped; a negative offset counts from the end."""
    data = bytearray(source.read_bytes())
    data[offset] ^= 1
    target.write_bytes(data)
    return target


def put_on_trial(gateway: Gateway, slot: str) -> None:
    """What `guard.slots set-primary` does when RAUC has installed a bundle, with the power off."""
    copies = []
    with gateway.card.open("rb") as card:
        for offset in bootstate.OFFSETS_BYTES:
            card.seek(offset)
            copies.append(card.read(bootstate.SIZE_BYTES))
    values, index = bootstate.current((copies[0], copies[1]))
    changed = {**bootstate.with_primary(values, slot), "gl_update": slot}
    gateway.overwrite(bootstate.OFFSETS_BYTES[index], bootstate.encode(bootstate.advanced(changed)))

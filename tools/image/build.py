"""The whole build, step by step; each step says how long it took."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from . import board, bundle, bytecode, disk, initramfs, kernel, libraries, locklist, rootfs, slots
from .archive import Archive
from .exceptions import ImageError
from .locklist import Package
from .places import BOARDS, BUILD, OVERLAY, PACKAGES_LOCK, WHEELS_LOCK
from .programs import run

CARD_MIB: Final = 1024
T = TypeVar("T")


class Build:
    """One image. ``work`` holds what is made; what was downloaded is kept beside."""

    def __init__(
        self, work: Path = BUILD, *, locked: bool = False, development: bool = True, board_name: str = "qemu/aarch64"
    ) -> None:
        self._work = work
        self._locked = locked
        self._development = development
        self._board = board.load(board_name)
        self.card = work / "gatelink.img"
        self.slot = work / "slot.ext4"
        self.firmware = work / "u-boot.bin"
        self.tools = work / "tools"

    def build(self, version: str) -> None:
        """Make the card and what boots it. Raises ImageError."""
        self._work.mkdir(parents=True, exist_ok=True)
        self.build_slot(version)
        _step("card", self._card)

    def build_slot(self, version: str) -> None:
        """Make the system slot alone. Raises ImageError."""
        self._work.mkdir(parents=True, exist_ok=True)
        packages = locklist.read(PACKAGES_LOCK)
        _step("tools", lambda: self._tools(packages))
        _step("base", lambda: self._base(packages))
        root = self._work / "root"
        shutil.rmtree(root, ignore_errors=True)
        run(["cp", "-a", self._work / "base", root])
        _step("ours", lambda: self._ours(root, version))
        _step("slot", lambda: slots.build(root, self.slot))

    def fetch_tools(self) -> None:
        """Unpack what runs here: byte compiler, MicroPython, boot loader. Raises ImageError."""
        self._work.mkdir(parents=True, exist_ok=True)
        self._tools(locklist.read(PACKAGES_LOCK))

    def bundle(self, version: str, target: Path, certificate: str, key: str) -> None:
        """Make a signed update. Raises ImageError."""
        self.build_slot(version)
        _step("bundle", lambda: bundle.build(self.slot, target, self._board.compatible, version, certificate, key))

    def lock(self) -> None:
        """Resolve the lists of the board anew. Raises ImageError."""
        target = Archive("arm64")
        found = target.resolve("target", self._board.target, self._board.without)
        boot = target.resolve("boot", self._board.boot, ())
        found += [package for package in boot if package.name in self._board.boot]
        for architecture, names in self._board.host_tools.items():
            found += Archive(architecture).resolve("tool", names, self._board.without)
        locklist.write(PACKAGES_LOCK, found)

    def _base(self, packages: Sequence[Package]) -> None:
        """Everything that is not ours: it changes with the locks alone, and is kept for the next build."""
        base, stamp = self._work / "base", self._work / "base.inputs"
        wanted = _inputs(self._board.directory)
        if base.exists() and stamp.exists() and stamp.read_text() == wanted:
            return
        stamp.unlink(missing_ok=True)
        shutil.rmtree(base, ignore_errors=True)
        rootfs.unpack(self._fetch(packages, "target"), base)
        self._kernel(base)
        programs = (self._board.directory / "busybox-programs").read_text().split()
        rootfs.trim(base, programs, self._board.remove)
        libraries.check(base)
        bytecode.compile_all(self.tools, base, [base / "usr/lib/python3.13", base / rootfs.SITE])
        stamp.write_text(wanted)

    def _ours(self, root: Path, version: str) -> None:
        rootfs.furnish(root, self._board, version, bundle.development_keys() / "authority.pem")
        if self._development:
            (root / "etc/gatelink/development").write_text("hvc0\n")
        bytecode.compile_all(self.tools, root, [root / rootfs.SITE / name for name in ("gatelink", "sitemanager")])
        rootfs.set_times(root)

    def _fetch(self, packages: Sequence[Package], role: str) -> list[Path]:
        wanted = [package for package in packages if package.role == role]
        if role == "tool":
            wanted = [package for package in wanted if package.architecture == bytecode.host_architecture()]
        if not wanted:
            raise ImageError(f"{PACKAGES_LOCK} has no packages of the role {role}; run `make image-lock`")
        return Archive(wanted[0].architecture).fetch(wanted, locked=self._locked)

    def _tools(self, packages: Sequence[Package]) -> None:
        """Programs that run here, and the boot loader; unpacked once."""
        files = [*self._fetch(packages, "tool"), *self._fetch(packages, "boot")]
        stamp = self.tools / "complete"
        wanted = "\n".join(file.name for file in files)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        shutil.rmtree(self.tools, ignore_errors=True)
        rootfs.unpack(files, self.tools)
        shutil.copy(self.tools / "usr/lib/u-boot/qemu_arm64/u-boot.bin", self.firmware)
        stamp.write_text(wanted)

    def _kernel(self, root: Path) -> None:
        """Image, initramfs and the modules that are used, in place of all of Debian's."""
        (directory,) = (root / "usr/lib/modules").iterdir()
        modules = kernel.Modules(directory)
        early = modules.closure(self._board.early_modules)
        chosen = modules.closure([*self._board.early_modules, *self._board.modules])
        builtin = directory / "modules.builtin"
        kept = root / "usr/lib/modules.new" / modules.release
        kept.mkdir(parents=True)
        kernel.install(chosen, kept, builtin)
        shutil.rmtree(directory.parent)
        kept.parent.rename(directory.parent)
        for folder in (root / "usr/lib").glob("linux-image-*"):
            trees = [folder / "broadcom" / name for name in self._board.device_trees]
            for tree in trees:
                shutil.copy(tree, root / "boot" / tree.name)
            shutil.rmtree(folder)
        boot = root / "boot"
        image = next(boot.glob("vmlinuz-*"))
        busybox = self.tools / "usr/bin/busybox"
        archive = initramfs.build(busybox, early, OVERLAY / "usr/lib/gatelink/partition")
        image.rename(boot / "Image")
        for other in boot.iterdir():
            if other.name != "Image" and other.suffix != ".dtb":
                other.unlink()
        (boot / "initramfs").write_bytes(archive)

    def _card(self) -> None:
        script = self._work / "boot.scr"
        source = BOARDS / "common" / "uboot" / "boot.cmd"
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1735689600"}
        run(["mkimage", "-q", "-A", "arm64", "-T", "script", "-C", "none", "-d", source, script], env=environment)
        environment_file = self._work / "board.env"
        shutil.copy(self._board.directory / "board.env", environment_file)
        boot = self._work / "boot.vfat"
        disk.build_boot({"boot.scr": script, "board.env": environment_file}, boot)
        disk.build(boot, self.slot, self.card, CARD_MIB)


def _inputs(board_directory: Path) -> str:
    """One hash over all that the base is made from."""
    here = Path(__file__).parent
    files = [PACKAGES_LOCK, WHEELS_LOCK, board_directory / "debian.toml", board_directory / "initramfs.sh"]
    files += [board_directory / "busybox-programs", OVERLAY / "usr/lib/gatelink/partition"]
    files += [here / f"{name}.py" for name in ("rootfs", "kernel", "initramfs", "bytecode", "wheels")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _step(name: str, work: Callable[[], T]) -> T:
    begin = time.monotonic()
    result = work()
    sys.stdout.write(f"image: {name:<10} {time.monotonic() - begin:5.1f} s\n")
    sys.stdout.flush()
    return result

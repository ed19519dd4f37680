"""The image's data agree with each other: boards, boot script, users, versions, locks, scripts."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from guard import bootstate
from image import flash, initramfs, kernel, libraries, locklist, places
from image.exceptions import ImageError

ROOT = Path(__file__).resolve().parents[2]


EXTERNAL = ROOT / "buildroot_external"
BOARD_KEYS = ["BOARD", "COMPATIBLE", "CONSOLE", "UPLINK_PORT", "MACHINE_PORT", "WATCHDOG", "LED_STATUS", "MODULES"]
BOARD_FILES = sorted(ROOT.glob("board/*/**/board"))
SCRIPTS = sorted(
    path
    for folder in ("board/common/overlay/usr/lib/gatelink", "buildroot_external/scripts", "board/qemu")
    for path in (ROOT / folder).rglob("*")
    if path.is_file()
    and path.read_bytes().startswith(b"#!/bin/")
    and b" sh" in path.read_bytes()[:32].replace(b"/", b" ")
)


def check_config() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_config", EXTERNAL / "scripts" / "check_config.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", BOARD_FILES, ids=lambda path: path.parent.name)
def test_board_has_every_fact(path: Path) -> None:
    rows = [row for row in path.read_text().splitlines() if not row.startswith("#")]
    assert [row.split("=")[0] for row in rows][: len(BOARD_KEYS)] == BOARD_KEYS


def test_every_configuration_names_files_that_are_there() -> None:
    configurations = sorted(EXTERNAL.glob("configs/*_defconfig"))
    assert len(configurations) == 6
    for path in configurations:
        text = path.read_text()
        for name in re.findall(r"\$\(BR2_EXTERNAL_GATELINK_PATH\)/([^\" ]+)", text):
            assert (EXTERNAL / name).exists(), (path.name, name)
        folder = re.search(r'BR2_ROOTFS_POST_SCRIPT_ARGS="(.+)"', text)
        assert folder is not None
        assert (ROOT / "board" / folder[1] / "board").exists()


def test_boot_script_knows_the_names_of_the_boot_state() -> None:
    script = (ROOT / "board/common/uboot/boot.cmd").read_text()
    names = re.search(r"setenv gl_names (.+)", script)
    assert names is not None
    assert sorted(names[1].split()) == sorted(bootstate.DEFAULTS)
    blocks = [f"0x{offset // 512:x}" for offset in bootstate.OFFSETS_BYTES]
    assert all(f"read ${{kernel_addr_r}} {block} 0x8" in script for block in blocks)


def test_users_are_the_same_in_both_images() -> None:
    rows = [row for row in places.USERS.read_text().splitlines() if not row.startswith("#")]
    package = (EXTERNAL / "package/sitemanager/sitemanager.mk").read_text()
    assert all(f"\t{row}\n" in package for row in rows)


def test_version_is_the_distributions_version() -> None:
    version = re.search(r"GATELINK_FIRMWARE_VERSION = (\S+)", (EXTERNAL / "version.mk").read_text())
    project = tomllib.loads((ROOT / "firmware/pyproject.toml").read_text())["project"]
    assert version is not None
    assert version[1] == project["version"]


def test_locks_pin_and_hash_everything() -> None:
    packages = locklist.read(places.PACKAGES_LOCK)
    assert {package.role for package in packages} == {"target", "boot", "tool"}
    assert len({(package.architecture, package.name) for package in packages}) == len(packages)
    wheels = places.WHEELS_LOCK.read_text()
    names = set(re.findall(r"^([a-z0-9-]+)==", wheels, re.MULTILINE))
    assert len(re.findall(r"--hash=sha256:", wheels)) >= len(names)
    wanted = tomllib.loads((ROOT / "firmware/pyproject.toml").read_text())["project"]["dependencies"]
    assert {re.split(r"[>=~<]", name)[0] for name in wanted} - {"gatelink"} <= names


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_is_proper_shell_and_can_be_run(path: Path) -> None:
    assert subprocess.run(["sh", "-n", path], capture_output=True).returncode == 0
    assert path.stat().st_mode & 0o111 or path.suffix == ".sh"


def test_option_that_kconfig_dropped_is_named(tmp_path: Path) -> None:
    requested = tmp_path / "requested"
    requested.write_text("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=y\n")
    final = tmp_path / "final"
    final.write_text("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n")
    module = check_config()
    assert module.differences(module.options(requested), module.options(final)) == [
        "CONFIG_C: asked for n, is y",
        "CONFIG_D: asked for y, is n",
    ]
    assert module.main([str(requested), str(final)]) == 1


def test_card_is_not_written_when_it_is_no_removable_disk_or_is_mounted(tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    image.write_bytes(b"x" * 4096)
    mounts = tmp_path / "mounts"
    mounts.write_text("")
    disk = tmp_path / "sdx"
    disk.mkdir()
    (disk / "size").write_text("100000\n")
    (disk / "removable").write_text("0\n")
    with pytest.raises(ImageError, match="not removable"):
        flash.check(image, Path("/dev/sdx"), tmp_path, mounts)
    (disk / "removable").write_text("1\n")
    assert "48 MiB" in flash.check(image, Path("/dev/sdx"), tmp_path, mounts)
    mounts.write_text("/dev/sdx1 /mnt vfat rw 0 0\n")
    with pytest.raises(ImageError, match="mounted at /mnt"):
        flash.check(image, Path("/dev/sdx"), tmp_path, mounts)
    (disk / "size").write_text("4\n")
    mounts.write_text("")
    with pytest.raises(ImageError, match="needs"):
        flash.check(image, Path("/dev/sdx"), tmp_path, mounts)
    with pytest.raises(ImageError, match="no whole disk"):
        flash.check(image, Path("/dev/sdy"), tmp_path, mounts)


def test_what_was_written_to_a_card_is_read_back(tmp_path: Path) -> None:
    image, card = tmp_path / "image", tmp_path / "card"
    image.write_bytes(bytes(range(256)) * 40000)
    card.write_bytes(b"\xff" * (256 * 50000))
    flash.write(image, card)
    assert card.read_bytes()[: 256 * 40000] == image.read_bytes()


def test_modules_come_in_an_order_in_which_they_load(tmp_path: Path) -> None:
    directory = tmp_path / "6.0"
    directory.mkdir()
    for name, needs in (("a-b", "c,d"), ("c", "d"), ("d", ""), ("other", "")):
        (directory / f"{name}.ko").write_bytes(b"\0alias=pci:%s*\0depends=%s\0" % (name.encode(), needs.encode()))
    (directory / "modules.builtin").write_text("kernel/built.ko\n")
    modules = kernel.Modules(directory)
    found = modules.closure(["a_b", "built"])
    assert [module.path for module in found] == ["d.ko", "c.ko", "a-b.ko"]
    target = tmp_path / "target"
    target.mkdir()
    kernel.install(found, target, directory / "modules.builtin")
    assert "a-b.ko: c.ko d.ko" in (target / "modules.dep").read_text().splitlines()
    assert "alias pci:c* c" in (target / "modules.alias").read_text()
    with pytest.raises(ImageError, match="no module nothing"):
        modules.closure(["nothing"])


def test_missing_library_is_named() -> None:
    assert "libc.so.6" in libraries.needed(Path("/bin/sh").resolve())


def test_initramfs_is_the_same_twice(tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"program")
    module = kernel.Module("kernel/a.ko", b"data", (), ())
    script = places.OVERLAY / "usr/lib/gatelink/partition"
    assert initramfs.build(busybox, [module], script) == initramfs.build(busybox, [module], script)

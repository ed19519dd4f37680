"""Makes build/gatelink-lm_VERSION_ARCH.deb from this tree and the locked packages in .venv: nothing is downloaded.

Everything is below /usr/lib/gatelink-lm, so that no other program's Python packages are touched; /usr/bin/lm is the
command. The same tree makes the same bytes.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).resolve().parent.parent
OWN: Final = {"gatelink": TREE / "gatelink" / "gatelink", "gatelink-lm": TREE / "lm_client" / "lm_client"}
EPOCH: Final = "1767225600"
# Agent and page are started as `sys.executable -m MODULE HOME`; Python alone would not find them.
_LAUNCHER: Final = """#!/usr/bin/python3 -I
import runpy
import sys

sys.path.insert(0, "/usr/lib/gatelink-lm")
sys.executable = "/usr/bin/lm"
if sys.argv[1:2] == ["-m"] and sys.argv[2:3] in (["lm_client.agent"], ["lm_client.page"]):
    module = sys.argv[2]
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
else:
    from lm_client.cli import main

    main()
"""
_CONTROL: Final = """Package: gatelink-lm
Version: {version}
Architecture: {architecture}
Maintainer: Gatelink maintainers <maintainers@gatelink.invalid>
Installed-Size: {size_kib}
Depends: python3 (>= {python}), python3 (<< {next_python}), iproute2, passwd
Recommends: xdg-utils, python3-pil
Section: net
Priority: optional
Description: Gatelink LinkManager: the client on the engineer's PC
 Reaches PLCs, drives and panels behind a Gatelink SiteManager, at their own
 addresses or at virtual ones that stay the same, each with a name. A small
 service has the rights for adapters, routes and names; everything else runs as
 the user, by the command lm or the local page of lm ui.
 .
 Members of the group gatelink may have tunnels.
"""


def closure(name: str, found: dict[str, metadata.Distribution]) -> dict[str, metadata.Distribution]:
    """Return a distribution with all that it needs, by normalised name."""
    distribution = metadata.distribution(name)
    found[name] = distribution
    # What an editable installation says of itself is as old as its installation.
    own = OWN[name].parent / "pyproject.toml" if name in OWN else None
    requires = tomllib.loads(own.read_text())["project"]["dependencies"] if own else distribution.requires
    for requirement in requires or ():
        if "extra ==" in requirement or not _is_for_here(requirement):
            continue
        match = re.match(r"[A-Za-z0-9._-]+", requirement)
        needed = re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""
        if needed and needed not in found:
            closure(needed, found)
    return found


def _is_for_here(requirement: str) -> bool:
    """Judge the few markers that the locked packages have; unknown ones are taken."""
    marker = requirement.partition(";")[2]
    if "platform_system" in marker or "sys_platform" in marker:
        return "win32" not in marker.replace('!= "win32"', "") and "Windows" not in marker
    if match := re.search(r'python_version\s*<\s*"3\.(\d+)"', marker):
        return sys.version_info.minor < int(match[1])
    return "implementation_name" not in marker or "PyPy" in marker


def files_of(distribution: metadata.Distribution) -> Iterator[tuple[Path, Path]]:
    """Yield where each file of an installed distribution is, and where it goes."""
    for file in distribution.files or ():
        if ".." in file.parts or "__pycache__" in file.parts or file.suffix == ".pyc" or file.name == "RECORD":
            continue
        yield Path(str(file.locate())), Path(*file.parts)


def lay_out(root: Path) -> None:
    """Fill the package's directory."""
    library = root / "usr/lib/gatelink-lm"
    for name, distribution in sorted(closure("gatelink-lm", {}).items()):
        if name in OWN:
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(OWN[name], library / OWN[name].name, ignore=ignored)
            continue
        for source, target in files_of(distribution):
            (library / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, library / target)
    hashed = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(library, stripdir=str(root), prependdir="/", quiet=2, invalidation_mode=hashed)
    files = TREE / "lm_client" / "debian_files"
    placed = {
        TREE / "lm_client/systemd/gatelink-lm.service": "usr/lib/systemd/system/gatelink-lm.service",
        files / "gatelink-lm.desktop": "usr/share/applications/gatelink-lm.desktop",
        TREE / "lm_client/lm_client/page/static/mark.svg": "usr/share/icons/hicolor/scalable/apps/gatelink-lm.svg",
        TREE / "lm_client/README.md": "usr/share/doc/gatelink-lm/README.md",
        TREE / "LICENSE": "usr/share/doc/gatelink-lm/copyright",
        TREE / "lm_client/config.example.toml": "usr/share/doc/gatelink-lm/config.example.toml",
        **{files / name: f"DEBIAN/{name}" for name in ("postinst", "prerm", "postrm")},
    }
    for source, place in placed.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, root / place)
    launcher = root / "usr/bin/lm"
    launcher.parent.mkdir()
    launcher.write_text(_LAUNCHER)
    for path in root.rglob("*"):
        program = path == launcher or (path.parent.name == "DEBIAN")
        path.chmod(0o755 if path.is_dir() or program else 0o644)


def main() -> int:
    """Build the package and print where it is."""
    version = metadata.version("gatelink-lm")
    architecture = subprocess.run(
        ["/usr/bin/dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    root = TREE / "build" / "deb-lm"
    shutil.rmtree(root, ignore_errors=True)
    lay_out(root)
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    here, following = sys.version_info.minor, sys.version_info.minor + 1
    control = _CONTROL.format(
        version=version,
        architecture=architecture,
        size_kib=size // 1024,
        python=f"3.{here}",
        next_python=f"3.{following}",
    )
    (root / "DEBIAN/control").write_text(control)
    target = TREE / "build" / f"gatelink-lm_{version}_{architecture}.deb"
    subprocess.run(
        ["/usr/bin/dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(root), str(target)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
    )
    shutil.rmtree(root)
    sys.stdout.write(f"{target} ({target.stat().st_size // 1024} KiB)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

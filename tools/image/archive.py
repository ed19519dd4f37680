"""Debian's archive by way of this machine's apt: the same mirror and keys, but a suite and architecture of our own.

A private configuration keeps the machine's package lists and its state out of it. What apt downloads it has checked
against the archive's signature; we check it against the lock as well.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from .exceptions import ImageError
from .locklist import Package
from .places import CACHE
from .programs import run

SUITE: Final = "trixie"
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_URI: Final = re.compile(r"'(\S+)' (\S+) \d+ SHA256:([0-9a-f]{64})")


class Archive:
    """The suite for one architecture."""

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture
        self._directory = CACHE / f"apt-{architecture}"
        self._config = self._directory / "apt.conf"
        self._is_updated = False

    def resolve(self, role: str, seeds: Sequence[str], without: Sequence[str]) -> list[Package]:
        """Return what apt would install for ``seeds`` on an empty system, less ``without``. Raises ImageError."""
        self._update()
        printed = self._apt("install", "--print-uris", "--yes", *seeds)
        found = []
        for _, file_name, sha256 in _URI.findall(printed):
            name, version, _ = unquote(file_name).split("_")
            if name not in without:
                found.append(Package(role, self.architecture, name, version, sha256))
        return found

    def fetch(self, packages: Sequence[Package], *, locked: bool) -> list[Path]:
        """Return the files of packages, downloading those that the cache has not. Raises ImageError.

        Debian drops a version from its mirrors when a point release replaces it. Then, unless ``locked``, the suite's
        present version is taken (apt has checked its signature), and a line says so.
        """
        directory = CACHE / "debs"
        directory.mkdir(parents=True, exist_ok=True)
        paths = {package: directory / package.file_name for package in packages}
        missing = [package for package, path in paths.items() if not _is_whole(path, package)]
        if missing:
            self._update()
            paths.update(self._download(self._choose(missing, locked=locked), directory))
        return list(paths.values())

    def _choose(self, packages: Sequence[Package], *, locked: bool) -> dict[Package, str]:
        """Return the version to take of each package."""
        offered: dict[str, list[str]] = {}
        for row in self._apt("madison", *(package.name for package in packages), program="apt-cache").splitlines():
            name, version, _ = (word.strip() for word in row.split("|"))
            offered.setdefault(name, []).append(version)
        chosen = {}
        for package in packages:
            versions = offered.get(package.name)
            if not versions:
                raise ImageError(f"{SUITE} has no package {package.name}; run `make image-lock`")
            chosen[package] = package.version if package.version in versions else versions[0]
            if chosen[package] != package.version:
                words = f"{package.name} {package.version} is gone from the archive, which has {versions[0]}"
                if locked:
                    raise ImageError(f"{words}; run `make image-lock`")
                sys.stderr.write(f"image: {words}: taken instead; `make image-lock` renews the list\n")
        return chosen

    def _download(self, chosen: Mapping[Package, str], directory: Path) -> dict[Package, Path]:
        place = directory / f"partial-{self.architecture}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        self._apt("download", *(f"{package.name}={version}" for package, version in chosen.items()), cwd=place)
        found = {}
        for package, version in chosen.items():
            (file,) = place.glob(f"{package.name}_{version.replace(':', '%3a')}_*.deb")
            sha256 = _sha256(file)
            if version == package.version and sha256 != package.sha256:
                raise ImageError(f"{file.name} has the hash {sha256}, the lock has {package.sha256}: not used")
            taken = dataclasses.replace(package, version=version, sha256=sha256)
            found[package] = file.rename(directory / taken.file_name)
        return found

    def _update(self) -> None:
        if self._is_updated:
            return
        for name in ("lists/partial", "state", "cache/archives/partial"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        (self._directory / "state" / "status").touch()
        (self._directory / "debian.sources").write_text(
            f"Types: deb\nURIs: {_mirror()}\nSuites: {SUITE}\nComponents: main\nSigned-By: {_KEYRING}\n"
        )
        self._config.write_text(_configuration(self._directory, self.architecture))
        self._apt("update")
        self._is_updated = True

    def _apt(self, *words: str, program: str = "apt-get", cwd: Path | None = None) -> str:
        return run([program, "-q", *words], env={"APT_CONFIG": str(self._config)}, cwd=cwd)


def _configuration(directory: Path, architecture: str) -> str:
    return f"""\
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::ForceHash "SHA256";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{directory}/state";
Dir::State::Lists "{directory}/lists";
Dir::State::status "{directory}/state/status";
Dir::Cache "{directory}/cache";
Dir::Etc::SourceList "{directory}/debian.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
"""


def _mirror() -> str:
    """The mirror from which this machine has its own Debian packages."""
    words = ("$(SITE) $(REPO_URI)", "Created-By: Packages", "Component: main", "Origin: Debian")
    rows = run(["apt-get", "indextargets", "--format", *words]).splitlines()
    found = [row.split()[-1].rstrip("/") for row in rows if row and "security" not in row]
    if not found:
        raise ImageError("apt knows no Debian mirror on this machine; run apt-get update")
    return max(set(found), key=found.count)


def _is_whole(path: Path, package: Package) -> bool:
    return path.exists() and _sha256(path) == package.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

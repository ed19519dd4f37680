"""Signed update bundles (RAUC, verity format), and the keys of a development authority made on the spot.

Real keys never come here: ``--certificate`` and ``--key`` take files outside of the tree or PKCS#11 addresses.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from .exceptions import ImageError
from .places import BUILD
from .programs import run

KEYS: Final = BUILD / "development-keys"
_SUBJECT: Final = "/O=Gatelink development, not for shipping/CN="


def development_keys(directory: Path = KEYS) -> Path:
    """Make an authority and a signing certificate, once; return their directory."""
    if not (directory / "signer.pem").exists():
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        authority = _certificate(directory, "authority", [])
        sign: list[str | Path] = [
            "-CA",
            authority,
            "-CAkey",
            directory / "authority.key",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]
        _certificate(directory, "signer", sign)
    return directory


def _certificate(directory: Path, name: str, more: list[str | Path]) -> Path:
    path = directory / f"{name}.pem"
    argv: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-days", "7300", "-subj", f"{_SUBJECT}{name}", "-keyout", directory / f"{name}.key"]
    run([*argv, *more, "-out", path])
    return path


def build(slot: Path, target: Path, compatible: str, version: str, certificate: str, key: str) -> None:
    """Make a bundle of a slot's file system. Raises ImageError."""
    work = target.with_suffix(".content")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    target.unlink(missing_ok=True)
    run(["cp", "--sparse=always", "--reflink=auto", slot, work / "rootfs.img"])
    (work / "manifest.raucm").write_text(
        f"[update]\ncompatible={compatible}\nversion={version}\n\n[bundle]\nformat=verity\n\n"
        "[image.rootfs]\nfilename=rootfs.img\n"
    )
    try:
        squash = "--mksquashfs-args=-comp zstd -Xcompression-level 3 -no-progress"
        run(["rauc", "bundle", f"--cert={certificate}", f"--key={key}", squash, work, target])
    finally:
        shutil.rmtree(work)
    if not target.exists():
        raise ImageError(f"rauc made no bundle {target}")

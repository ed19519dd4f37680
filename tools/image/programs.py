"""Runs the programs that make file systems and the like: argument vectors, no shell, one line on failure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .exceptions import ImageError


def run(
    argv: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, text: str = ""
) -> str:
    """Run a program with ``text`` as its input; return what it printed. Raises ImageError."""
    words = [str(word) for word in argv]
    search = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    environment = {**os.environ, "LC_ALL": "C", **(env or {}), "PATH": search}
    try:
        done = subprocess.run(
            words, cwd=cwd, env=environment, input=text, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        raise ImageError(f"the program {words[0]} is missing; run tools/setup image") from None
    if done.returncode:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines()[-5:]) or "it said nothing"
        raise ImageError(f"`{' '.join(words[:6])}` ended with status {done.returncode}: {said}")
    return done.stdout


def run_as_root(argv: Sequence[str | Path], **options: Mapping[str, str] | None) -> str:
    """Run a program that puts owners into a file system: an ordinary user's files become root's. Raises ImageError."""
    prefix: list[str | Path] = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    return run([*prefix, *argv], env=options.get("env"))

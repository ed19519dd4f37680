"""Runs ``ip`` and ``nft``: argument vectors and standard input, never a shell. Errors become one NetworkError."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sitemanager.exceptions import NetworkError

TIMEOUT_S: Final = 20.0
"""Far above what either takes on the slowest gateway; a hung program must not hang the daemon."""
_PACKAGES: Final = {"ip": "iproute2", "nft": "nftables", "mmcli": "modemmanager"}


def run(argv: Sequence[str], script: str = "", timeout_s: float = TIMEOUT_S) -> str:
    """Run a program with ``script`` as its input; return what it printed. Raises NetworkError."""
    path = os.environ.get("PATH", os.defpath)
    environment = {**os.environ, "LC_ALL": "C", "PATH": f"{path}{os.pathsep}/usr/sbin{os.pathsep}/sbin"}
    try:
        done = subprocess.run(
            argv,
            check=False,
            input=script,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=environment,
        )
    except FileNotFoundError:
        package = _PACKAGES.get(argv[0], argv[0])
        raise NetworkError(f"the program {argv[0]} is missing; install {package}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkError(f"cannot run {argv[0]}: {error}") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:300] or "no reason given"
        raise NetworkError(f"`{' '.join(argv)}` failed: {said}")
    return done.stdout


def ip(script: Sequence[str]) -> None:
    """Run the commands in one ``ip -batch``, stopping at the first that fails. Raises NetworkError."""
    run(["ip", "-batch", "-"], "\n".join([*script, ""]))


def ask_ip(*words: str) -> list[dict[str, Any]]:
    """Return what ``ip -json`` says. Raises NetworkError."""
    answer = run(["ip", "-json", *words])
    try:
        return msgspec.json.decode(answer or "[]", type=list[dict[str, Any]])
    except msgspec.DecodeError:
        raise NetworkError(f"`ip -json {' '.join(words)}` printed no JSON; iproute2's ip is needed") from None


def nft_list(table: str) -> str:
    """Return the rules of a table (``family name``) as the kernel has them; empty if there is none."""
    try:
        return run(["nft", "list", "table", *table.split()])
    except NetworkError:
        return ""


def nft(text: str) -> None:
    """Load rules in one transaction: all of it or nothing. Raises NetworkError."""
    run(["nft", "-f", "-"], text)

"""The devices' names on Linux: systemd-resolved is told whom to ask for ``gatelink``; else a section of /etc/hosts.

With systemd-resolved nothing can be left behind: what it was told belongs to the adapter and goes with it. The section
in /etc/hosts stands between two marked lines; a service that was killed leaves it until its next start.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lm_client.exceptions import HostError
from lm_client.service.protocol import HostName

HOSTS_PATH: Final = Path("/etc/hosts")
MAX_HOSTS_BYTES: Final = 8 * 1024 * 1024
_RESOLVED: Final = Path("/run/systemd/resolve/io.systemd.Resolve")
_TIMEOUT_S: Final = 10.0
SUFFIX: Final = "gatelink"


def resolved_is_in_use() -> bool:
    """Whether systemd-resolved runs and programs reach it: by /etc/resolv.conf, or by its module of the C library."""
    if not _RESOLVED.exists():
        return False
    try:
        asked = "127.0.0.53" in Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
        switch = Path("/etc/nsswitch.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    hosts = next((line for line in switch.splitlines() if line.startswith("hosts:")), "")
    return asked or "resolve" in hosts.split()


class Resolved:
    """systemd-resolved, told by ``resolvectl`` for the adapter's link; 247 and later take a port."""

    def apply(self, interface: str, names: Sequence[HostName], dns_port: int) -> None:
        """Route questions for ``gatelink``, and no others, to the caller's resolver."""
        if not names or not dns_port:
            _resolvectl("revert", interface)
            return
        _resolvectl("dns", interface, f"127.0.0.1:{dns_port}")
        _resolvectl("domain", interface, f"~{SUFFIX}")
        _resolvectl("default-route", interface, "false")

    def remove(self, interface: str) -> None:
        """Nothing: it goes with the link."""

    def clean_up(self) -> list[str]:
        """Nothing is ever left."""
        return []


class HostsFile:
    """A section of the hosts file, at its end: other people's lines are not rewritten while it stays the last."""

    def __init__(self, mark: str, path: Path = HOSTS_PATH) -> None:
        said = "devices that are connected now; this section is removed by itself"
        self._begin = f"# begin {mark}: {said}\n".encode()
        self._begin_joined = f"# begin {mark}, where there was no end of line: {said}\n".encode()
        self._end = f"# end {mark}\n".encode()
        self._path = path
        self._names: dict[str, tuple[HostName, ...]] = {}

    def apply(self, interface: str, names: Sequence[HostName], dns_port: int) -> None:
        """Write the section anew if anything in it changes."""
        if self._names.get(interface, ()) == tuple(names):
            return
        self._names[interface] = tuple(names)
        self._write()

    def remove(self, interface: str) -> None:
        """Write it without these."""
        if self._names.pop(interface, ()):
            self._write()

    def clean_up(self) -> list[str]:
        """Remove the section."""
        self._names.clear()
        return [f"the section in {self._path}"] if self._write() else []

    def _write(self) -> bool:
        """Bring the file up to date; return whether it changed.

        It is changed in place, not replaced: in containers and under systemd's protection it is a mount of its own.
        """
        entries = [f"{entry.address}\t{entry.name}\n" for names in self._names.values() for entry in names]
        section = b"".join([*(entry.encode() for entry in entries), self._end])
        try:
            with self._path.open("r+b", buffering=0) as file:
                before = file.read(MAX_HOSTS_BYTES + 1) or b""
                if len(before) > MAX_HOSTS_BYTES:
                    raise HostError(f"{self._path} has more than {MAX_HOSTS_BYTES} bytes: it is left alone")
                rest = self._without_section(before)
                joined = bool(rest) and not rest.endswith(b"\n")
                begin = b"\n" + self._begin_joined if joined else self._begin
                after = rest + begin + section if entries else rest
                if after == before:
                    return False
                same = next(
                    (n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), None
                )
                start = min(len(before), len(after)) if same is None else same
                file.seek(start)
                file.write(after[start:])
                file.truncate(len(after))
        except OSError as error:
            raise HostError(f"cannot change {self._path}: {error.strerror}") from None
        return True

    def _without_section(self, content: bytes) -> bytes:
        """Return the content without our section: if its end is missing, without what looks like ours behind it."""
        kept: list[bytes] = []
        inside = False
        for line in content.splitlines(keepends=True):
            if line in (self._begin, self._begin_joined):
                inside = True
                if line == self._begin_joined and kept:
                    kept[-1] = kept[-1].removesuffix(b"\n")
            elif inside and line.rstrip().endswith(f".{SUFFIX}".encode()):
                continue
            elif inside and line == self._end:
                inside = False
            else:
                inside = False
                kept.append(line)
        return b"".join(kept)


def _resolvectl(*arguments: str) -> None:
    argv = ["resolvectl", *arguments]
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env=environment,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"cannot run `{' '.join(argv)}`: {error}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise HostError(f"`{' '.join(argv)}` failed: {said[0]}")

"""``gatelink.toml`` on a stick that is plugged in while the daemon runs: taken once, its result written beside it.

Only a unit that belongs to nobody yet takes one: with the first enrolment this door is closed. At boot the image's own
step does the same with the boot partition (``services.unit_file``), and there the addresses of the way out as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gatelink.claims import parse_claim
from gatelink.exceptions import GatelinkError
from sitemanager.config import Config
from sitemanager.core.unit_file import FILE_NAME, MAX_FILE_BYTES, UnitFile, read, without_secrets
from sitemanager.exceptions import ConfigError
from sitemanager.host.state import State

from .configuration import Configuration
from .setup import Setup

LOOK_S: Final = 3.0
APPLIED: Final = "gatelink.applied.toml"
MISTAKES: Final = "gatelink.mistakes.txt"
RESULT: Final = "gatelink.result.txt"


class Stick:
    """A part: see ``services.parts``."""

    def __init__(
        self,
        directories: tuple[Path, ...],
        state: State,
        configuration: Configuration,
        setup: Setup,
        report: Callable[[str], None],
    ) -> None:
        self._directories = directories
        self._state = state
        self._configuration = configuration
        self._setup = setup
        self._report = report
        self._seen: set[bytes] = set()
        """Digests of files that were looked at: one that cannot be removed is taken once all the same."""
        self._looking: asyncio.Task[None] | None = None

    async def use(self, config: Config) -> None:
        """Begin to look."""
        del config
        if self._directories and self._looking is None and not self._state.is_enrolled:
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop looking."""
        task, self._looking = self._looking, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _look(self) -> None:
        while not self._state.is_enrolled:
            for directory in self._directories:
                data = await asyncio.to_thread(_content, directory / FILE_NAME)
                if data is not None and (digest := hashlib.sha256(data).digest()) not in self._seen:
                    self._seen.add(digest)
                    await self._take(directory, data)
            await asyncio.sleep(LOOK_S)

    async def _take(self, directory: Path, data: bytes) -> None:
        self._report(f"found {directory / FILE_NAME}")
        try:
            found = read(data, FILE_NAME)
            _check(found)
            await self._apply(found)
        except GatelinkError as error:
            lines = error.mistakes if isinstance(error, ConfigError) else (str(error),)
            for line in lines:
                self._report(f"{FILE_NAME}: {line}")
            _write(directory / MISTAKES, "".join(f"{line}\r\n" for line in lines))
            return
        self._report(f"{FILE_NAME} is taken")
        _write(directory / APPLIED, without_secrets(data))
        with contextlib.suppress(OSError):
            (directory / MISTAKES).unlink(missing_ok=True)
        _erase(directory / FILE_NAME, len(data))
        _write(directory / RESULT, "The settings are taken. The GateManager is being called.\r\n")
        self._setup.on_result = lambda text: _write(directory / RESULT, f"{text}\r\n")

    async def _apply(self, found: UnitFile) -> None:
        values = dict(found.config)
        if found.network.machine:
            values["dev_address"] = found.network.machine
        if values:
            await self._configuration.adopt(values)
        if found.claim:
            self._state.save_claim(found.claim)
            self._setup.redeem(parse_claim(found.claim, "appliance"), patient=True)
        elif found.gm:
            self._setup.ask_for_place(found.gm)


def _check(found: UnitFile) -> None:
    network = found.network
    if network.uplink != "dhcp" or network.gateway or network.dns:
        raise ConfigError(
            FILE_NAME, ["network.uplink: is read at boot alone; put the file onto the boot partition and restart"]
        )


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError:
        return None


def _write(path: Path, text: str) -> None:
    """What cannot be written to a stick is in the log as well."""
    with contextlib.suppress(OSError):
        path.write_text(text, encoding="utf-8")


def _erase(path: Path, size_bytes: int) -> None:
    """Overwrite before removing: on a FAT file system the claim would stay readable."""
    with contextlib.suppress(OSError):
        path.write_bytes(b"\0" * size_bytes)
        path.unlink()

"""A disk whose plug is pulled: records what a program does to files and gives every state that may be left of it.

What is written and not synced may be there up to any byte, or be zeros; a new name, a rename and a removal that no
directory sync followed may have happened or not, in their order (as ext4, f2fs and btrfs have it).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Files = dict[str, bytes]


class Disk:
    """Records in one directory while ``monkeypatch`` holds."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._start: Files = {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
        self.steps: list[tuple[Any, ...]] = []
        self._names: dict[int, str] = {}
        self._watch(monkeypatch)

    def states(self) -> Iterator[Files]:
        """Every content of the directory that a pulled plug may leave, at any moment."""
        for done in range(len(self.steps) + 1):
            yield from self._left_after(self.steps[:done])

    def left_now(self) -> Iterator[Files]:
        """What a pulled plug may leave when everything was done."""
        yield from self._left_after(self.steps)

    def _left_after(self, steps: list[tuple[Any, ...]]) -> Iterator[Files]:
        """Names change in their order: all up to the last directory sync, then any number of those behind it."""
        last_sync = max((index for index, step in enumerate(steps) if step[0] == "sync-directory"), default=-1)
        behind = [
            index for index, step in enumerate(steps) if step[0] in ("create", "rename", "remove") and index > last_sync
        ]
        for kept in range(len(behind) + 1):
            lost = set(behind[kept:])
            yield from self._contents([step for index, step in enumerate(steps) if index not in lost])

    def _contents(self, steps: list[tuple[Any, ...]]) -> Iterator[Files]:
        durable: Files = dict(self._start)
        loose: dict[str, bytes] = {}
        for step in steps:
            match step:
                case ("create", name):
                    durable[name] = b""
                case ("write", name, data):
                    loose[name] = loose.get(name, b"") + data
                case ("sync", name):
                    if name in durable:
                        durable[name] += loose.pop(name, b"")
                case ("rename", old, new):
                    if old in durable:
                        durable[new] = durable.pop(old)
                        if old in loose:
                            loose[new] = loose.pop(old)
                case ("remove", name):
                    durable.pop(name, None)
                    loose.pop(name, None)
        torn = {name: data for name, data in loose.items() if name in durable}
        if not torn:
            yield durable
            return
        for name, data in torn.items():
            for length in range(len(data) + 1):
                yield {**durable, name: durable[name] + data[:length]}
            yield {**durable, name: durable[name] + bytes(len(data))}

    def _watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real_open, real_fdopen, real_fsync = os.open, os.fdopen, os.fsync
        real_replace, real_unlink, real_path_open = Path.replace, Path.unlink, Path.open
        disk = self

        def note_open(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            descriptor = real_open(path, flags, *rest, **more)
            name = Path(path).name
            if flags & os.O_DIRECTORY:
                disk._names[descriptor] = "."
            elif flags & os.O_CREAT:
                disk._names[descriptor] = name
                disk.steps.append(("create", name))
            return descriptor

        class Noted(io.FileIO):
            """Unbuffered: every write is a step."""

            def write(self, data: Any) -> int:
                disk.steps.append(("write", disk._names[self.fileno()], bytes(data)))
                return super().write(data)

        def note_fdopen(descriptor: int, *rest: Any, **more: Any) -> Any:
            return Noted(descriptor, "wb") if descriptor in disk._names else real_fdopen(descriptor, *rest, **more)

        def note_path_open(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if path.parent == disk._directory and mode == "ab" and not path.name.startswith("."):
                if not path.exists():
                    disk.steps.append(("create", path.name))
                file = Noted(path, "ab")
                disk._names[file.fileno()] = path.name
                return file
            return real_path_open(path, mode, *rest, **more)

        def note_fsync(descriptor: int) -> None:
            real_fsync(descriptor)
            name = disk._names.get(descriptor)
            if name is not None:
                disk.steps.append(("sync-directory",) if name == "." else ("sync", name))

        def note_replace(old: Path, new: Path) -> Path:
            disk.steps.append(("rename", old.name, Path(new).name))
            return real_replace(old, new)

        def note_unlink(path: Path, missing_ok: bool = False) -> None:
            if path.exists() and path.parent == disk._directory:
                disk.steps.append(("remove", path.name))
            real_unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(os, "open", note_open)
        monkeypatch.setattr(os, "fdopen", note_fdopen)
        monkeypatch.setattr(os, "fsync", note_fsync)
        monkeypatch.setattr(Path, "replace", note_replace)
        monkeypatch.setattr(Path, "unlink", note_unlink)
        monkeypatch.setattr(Path, "open", note_path_open)


def restore(directory: Path, files: Files) -> None:
    """Make a directory be like one of the states."""
    for path in directory.iterdir():
        path.unlink()
    for name, data in files.items():
        (directory / name).write_bytes(data)

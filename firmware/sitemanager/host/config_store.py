"""The configuration's files in the state directory: an old or a new one is whole whenever the plug is pulled.

config.toml           in force; people may edit it
config.toml.previous  the one before it: what is taken when config.toml is damaged
config.toml.damaged   what was found instead of a configuration, kept for people
config.toml.v1        the last one of schema 1, for software of before an update that was rolled back

A save writes beside, syncs, and renames (``gatelink.files``): first the present one to ``previous``, then the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from gatelink.files import write_atomically
from sitemanager.config import MAX_FILE_BYTES, SCHEMA, Config, parse, to_toml, version_of
from sitemanager.exceptions import ConfigError, StateError

FILE_NAME: Final = "config.toml"


class Loaded(msgspec.Struct, frozen=True):
    """A configuration, and a line about everything that was wrong on the way to it."""

    config: Config
    notes: tuple[str, ...] = ()


def load(directory: Path) -> Config:
    """Read the configuration; the defaults if there is no file. Raises ConfigError with all mistakes, StateError."""
    path = directory / FILE_NAME
    data = _read(path)
    return Config() if data is None else parse(data, str(path))


def load_or_restore(directory: Path) -> Loaded:
    """Return the configuration in force; where its file is damaged, the previous one, put in its place.

    The daemon of a gateway far away starts with whatever is left rather than not at all. Raises StateError if the
    files cannot be read or written.
    """
    path = directory / FILE_NAME
    data = _read(path)
    mistake = _mistake(data, path)
    if data is not None and not mistake:
        return Loaded(parse(data, str(path)))
    for candidate in (_previous(path), _of_version(path, SCHEMA)):
        found = _read(candidate)
        if found is not None and not _mistake(found, candidate):
            with _alone(directory):
                _put_aside(path, data)
                _write(path, found)
            why = mistake or f"{path} is missing"
            return Loaded(parse(found, str(candidate)), (f"{why}: {candidate.name} is in force",))
    if data is None:
        return Loaded(Config())
    with _alone(directory):
        _put_aside(path, data)
        _write(path, to_toml(Config()).encode())
    return Loaded(Config(), (f"{mistake}: and there is no good one before it; the defaults are in force",))


def save(directory: Path, config: Config) -> None:
    """Put a configuration in force and keep the one before it. Raises StateError; the old one is then in force."""
    path = directory / FILE_NAME
    data = to_toml(config).encode()
    with _alone(directory):
        present = _read(path)
        if present == data:
            return
        if present is not None and not _mistake(present, path):
            version = version_of(present)
            if version is not None and version < SCHEMA:
                _write(_of_version(path, version), present)
            _write(_previous(path), present)
        _write(path, data)


def previous(directory: Path) -> Config | None:
    """Return the configuration before the present one; None if there is no good one. Raises StateError."""
    path = _previous(directory / FILE_NAME)
    data = _read(path)
    return None if data is None or _mistake(data, path) else parse(data, str(path))


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One writer at a time: the daemon and a command may come at once."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (directory / ".config.lock").open("ab")
    except OSError as error:
        raise StateError(f"cannot write in the state directory {directory}: {error.strerror}") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _mistake(data: bytes | None, path: Path) -> str:
    """What is wrong with a file's content; empty if nothing is."""
    if data is None:
        return ""
    try:
        parse(data, str(path))
    except ConfigError as error:
        return str(error)
    return ""


def _put_aside(path: Path, data: bytes | None) -> None:
    if data is not None:
        _write(path.with_name(f"{path.name}.damaged"), data)


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def _of_version(path: Path, version: int) -> Path:
    return path.with_name(f"{path.name}.v{version}")


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}") from None

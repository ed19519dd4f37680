"""Applies ``gatelink.toml``: the program that the image runs at boot when it finds one.

Everything is checked before anything is written; each file is replaced as a whole; the provisioning file goes last.
So a plug pulled in between means that the next boot does it again.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gatelink.files import sync_directory, write_atomically
from sitemanager.config import Config, parse
from sitemanager.core.toml_text import toml_text
from sitemanager.core.unit_file import MACHINE_PORT, UnitFile, network_settings, read, without_secrets
from sitemanager.exceptions import ConfigError, StateError
from sitemanager.host.config_store import save
from sitemanager.host.page_secret import PageSecret
from sitemanager.host.state import State, Waiting

CLAIM_NAME: Final = "claim"
"""In the state directory, until it is redeemed."""
_DEFAULTS: Final = {"dev_interfaces": [MACHINE_PORT], "dev_address": "10.0.0.1/24", "set_system_clock": True}
_APPLIED: Final = "gatelink.applied.toml"
_MISTAKES: Final = "gatelink.mistakes.txt"


def apply(file: Path, state: State, network_file: Path) -> list[str]:
    """Apply a provisioning file; return a line about each thing done.

    Raises ConfigError (nothing was changed; the mistakes are in a file beside), StateError, OSError.
    """
    data = file.read_bytes()
    try:
        found = read(data, file.name)
        config = _config(found, file.name)
    except ConfigError as error:
        (file.parent / _MISTAKES).write_text("".join(f"{mistake}\r\n" for mistake in error.mistakes))
        raise
    done = ["configuration and addresses taken"]
    state.prepare()
    network_file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(network_file, network_settings(found.network).encode())
    PageSecret(state.directory).secret()
    save(state.directory, config)
    if state.is_enrolled:
        done.append(f"enrolled already, as {state.known().name!r}: the claim is not used")
    elif found.claim:
        write_atomically(state.directory / CLAIM_NAME, found.claim.encode())
        done.append("claim taken")
    elif found.gm:
        state.save_waiting(Waiting((found.gm,)))
        done.append(f"waits at {found.gm} to be adopted")
    (file.parent / _APPLIED).write_text(without_secrets(data))
    (file.parent / _MISTAKES).unlink(missing_ok=True)
    _erase(file)
    return done


def begin(state: State) -> list[str]:
    """Give a unit that nobody told anything its first configuration, for its page. Raises StateError, OSError."""
    state.prepare()
    PageSecret(state.directory).secret()
    save(state.directory, _config(UnitFile(), "defaults"))
    return [f"new: the set-up page will be at https://{str(_DEFAULTS['dev_address']).partition('/')[0]}"]


def _config(found: UnitFile, where: str) -> Config:
    values = {**_DEFAULTS, **found.config}
    if found.network.machine:
        values["dev_address"] = found.network.machine
    return parse(toml_text(values).encode(), where)


def _erase(file: Path) -> None:
    """Overwrite before removing: on a FAT file system the claim would stay readable."""
    size_bytes = file.stat().st_size
    with file.open("r+b") as opened:
        opened.write(b"\0" * size_bytes)
        opened.flush()
        os.fsync(opened.fileno())
    file.unlink()
    sync_directory(file.parent)


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    """``NETWORK_FILE STATE_DIRECTORY [FILE]``: what the boot step calls, as root."""
    network_file, directory, *files = (Path(argument) for argument in arguments)
    state = State(directory)
    try:
        done = apply(files[0], state, network_file) if files else begin(state)
        owner = directory.stat()
        for path in directory.iterdir():
            shutil.chown(path, owner.st_uid, owner.st_gid)
    except ConfigError as error:
        for mistake in error.mistakes:
            sys.stderr.write(f"gatelink.toml: {mistake}\n")
        return 1
    except (StateError, OSError) as error:
        sys.stderr.write(f"gatelink.toml: {error}\n")
        return 1
    for line in done:
        sys.stdout.write(f"gatelink.toml: {line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

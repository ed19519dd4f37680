"""The command that reads and changes the boot state; RAUC calls it as its boot loader.

Usage: micropython -m guard.slots get-primary | set-primary SLOT | get-state SLOT | set-state SLOT good|bad |
get-current | show | get NAME | set NAME VALUE
"""

import os
import sys

from guard import bootstate

_SLOT_FILE = "/run/gatelink/slot"


def disk() -> str:
    """Return the device that holds the boot state: the one of the root slot. Raises OSError."""
    with open("/run/gatelink/disk") as file:  # noqa: PTH123 - MicroPython has no pathlib
        return file.read().strip()


def read(device: str) -> tuple[bytes, bytes]:
    """Return both copies."""
    copies = []
    with open(device, "rb") as file:  # noqa: PTH123
        for offset in bootstate.OFFSETS_BYTES:
            file.seek(offset)
            copies.append(file.read(bootstate.SIZE_BYTES))
    return copies[0], copies[1]


def write(device: str, values: dict[str, str], index: int) -> None:
    """Write one copy and wait until the card has it (MicroPython's flush is fsync)."""
    with open(device, "r+b") as file:  # noqa: PTH123
        file.seek(bootstate.OFFSETS_BYTES[index])
        file.write(bootstate.encode(values))
        file.flush()


def booted() -> str:
    """Return the slot that runs."""
    with open(_SLOT_FILE) as file:  # noqa: PTH123
        return file.read().strip()


def main(arguments: list[str]) -> int:
    """Run one command; 0, or 1 with a line that says why not."""
    device = disk()
    values, index = bootstate.current(read(device))
    command, words = arguments[0], arguments[1:]
    changed = None
    if command == "get-primary":
        usable = [slot for slot in bootstate.order(values) if bootstate.attempts_left(values, slot)]
        print((usable or bootstate.order(values))[0])
    elif command == "get-current":
        print(booted())
    elif command == "get-state":
        print("good" if bootstate.attempts_left(values, words[0]) else "bad")
    elif command == "show":
        print(" ".join(f"{name}={value!r}" for name, value in sorted(values.items())))
    elif command == "get":
        print(values["gl_" + words[0]])
    elif command == "set-primary":
        changed = bootstate.with_primary(values, words[0])
        if words[0] != booted():
            changed["gl_update"] = words[0]
    elif command == "set-state":
        change = bootstate.with_good if words[1] == "good" else bootstate.with_bad
        changed = change(values, words[0])
    elif command == "set":
        changed = dict(values)
        changed["gl_" + words[0]] = words[1]
    else:
        print("slots: unknown command " + command)
        return 1
    if changed is not None and changed != values:
        write(device, bootstate.advanced(changed), index)
    return 0


if __name__ == "__main__":
    os.chdir("/")
    sys.exit(main(sys.argv[1:]))

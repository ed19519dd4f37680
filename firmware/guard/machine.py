"""The machine as a whole: a restart without another program, and the removal of a directory."""

import os
import time

_SYSRQ = "/proc/sysrq-trigger"


def restart() -> None:
    """Start the machine anew, by the kernel alone: sync, remount read-only, reset. Does not return."""
    # Linux, Documentation/admin-guide/sysrq.rst. Others get a moment between: the log, a page that is being sent.
    for letter, pause_s in (("s", 2), ("u", 1), ("b", 60)):
        with open(_SYSRQ, "w") as file:  # noqa: PTH123 - MicroPython has no pathlib
            file.write(letter)
        time.sleep(pause_s)


def remove_tree(path: str) -> None:
    """Remove a directory and what is in it, following no link; what is not there is not missed."""
    try:
        for name in os.listdir(path):  # noqa: PTH208
            below = path + "/" + name
            if os.stat(below)[0] & 0xF000 == 0x4000:  # noqa: PTH116
                remove_tree(below)
            else:
                os.remove(below)  # noqa: PTH107
        os.rmdir(path)  # noqa: PTH106
    except OSError:
        return


def remove_file(path: str) -> None:
    """Remove a file if it is there."""
    try:
        os.remove(path)  # noqa: PTH107
    except OSError:
        return

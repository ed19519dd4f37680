"""The hardware watchdog. Open means armed: whatever ends the guard for good ends in a reset of the machine."""


class Watchdog:
    """Of ``/dev/watchdog0``; a board without one is guarded by the kernel's software watchdog."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: PTH123, SIM115 - MicroPython; open as long as we live

    def feed(self) -> None:
        """Not yet."""
        self._file.write(b"\0")


def find(path: str) -> "Watchdog | None":
    """Open the watchdog if there is one."""
    try:
        return Watchdog(path)
    except OSError:
        return None

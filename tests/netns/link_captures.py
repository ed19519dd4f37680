"""What passes on lines, captured with tcpdump: the bytes of every packet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import Place

_NUMBERS = itertools.count(1)


class Capture:
    """A file that tcpdump writes, packet by packet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def captured(self) -> bytes:
        """Everything captured so far."""
        return self._path.read_bytes() if self._path.exists() else b""

    def __contains__(self, pattern: bytes) -> bool:
        return pattern in self.captured


@contextmanager
def capture(place: Place, interface: str) -> Iterator[Capture]:
    """Capture whole packets on an interface (`any`: on all) while inside."""
    path = place.run_directory / f"capture-{place.name}-{next(_NUMBERS)}.pcap"
    # -Z: it would become another user, who cannot write there.
    argv = ["tcpdump", "-i", interface, "--immediate-mode", "-U", "-n", "-Z", "root", "-w", str(path)]
    process = place.start(argv)
    process.wait_for_line("listening on")
    try:
        yield Capture(path)
    finally:
        process.terminate()

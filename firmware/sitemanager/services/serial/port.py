"""One serial port: opened for whoever uses it, closed when nobody does, and used by one at a time.

Several Modbus masters may share it, for the gateway queues their requests. Somebody whose session is away gives way to
whoever asks next.
"""

from __future__ import annotations

from collections.abc import Callable

from gatelink.messages import LineSettings
from sitemanager.core.serial_settings import SerialConfig, line_text, with_line
from sitemanager.exceptions import NetworkError
from sitemanager.host.serial.line import SerialLine

from .client import Client


class SerialPort:
    """``path`` returns where it is plugged in just now, or None."""

    def __init__(self, own: SerialConfig, path: Callable[[], str | None], report: Callable[[str], None]) -> None:
        self.own = own
        """As this unit's configuration has it."""
        self.config = own
        """In force: with the line's settings of the administrator at the GateManager, where he made any."""
        self._path = path
        self._report = report
        self._clients: list[Client] = []
        self._line: SerialLine | None = None
        self._on_bytes: Callable[[bytes], None] | None = None
        self.on_lost: Callable[[], None] = lambda: None
        """Told when the adapter was pulled out."""

    @property
    def users(self) -> tuple[str, ...]:
        """Who has it open."""
        return tuple(dict.fromkeys(client.user for client in self._clients))

    @property
    def is_present(self) -> bool:
        """Whether it is plugged in."""
        return self._path() is not None

    @property
    def clients(self) -> tuple[Client, ...]:
        """The connections that use it."""
        return tuple(self._clients)

    def use(self, line: LineSettings | None) -> None:
        """Set the line as the administrator says (None: as the configuration does); whoever has it open is cut."""
        wanted = with_line(self.own, line)
        if wanted != self.config:
            self.close()
            self.config = wanted

    @property
    def settings_text(self) -> str:
        """How the line is set, ``19200 8E1``: just now, if it is open, for its user may have set it."""
        if self._line is not None and self._line.is_open:
            return self._line.settings_text
        return line_text(self.config)

    def admit(self, client: Client) -> str | None:
        """Let somebody in; or return why not."""
        for other in self.clients:
            if _can_share(other, client):
                continue
            if not other.is_away:
                return f"{other.user} uses it ({other.offer.kind})"
            other.close()
            self.leave(other)
        self._clients.append(client)
        return None

    def leave(self, client: Client) -> None:
        """Somebody has gone. Nobody is left: the line is closed, and opened anew with its own settings."""
        if client in self._clients:
            self._clients.remove(client)
        if not self._clients:
            self.close_line()

    def line(self, on_bytes: Callable[[bytes], None]) -> SerialLine:
        """Return the open line; what it says goes to ``on_bytes``. Raises NetworkError."""
        self._on_bytes = on_bytes
        if self._line is None or not self._line.is_open:
            path = self._path()
            if path is None:
                raise NetworkError(f"the serial port {self.config.name} is not plugged in")
            self._line = SerialLine(path, self.config, self._hear, self._lost)
        return self._line

    def close_line(self) -> None:
        """Close it; who needs it opens it again."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def close(self) -> None:
        """End everything on it."""
        for client in self.clients:
            client.close()
        self._clients.clear()
        self.close_line()

    def _hear(self, data: bytes) -> None:
        if self._on_bytes is not None:
            self._on_bytes(data)

    def _lost(self, why: str) -> None:
        self._report(f"serial port {self.config.name}: {why}")
        self._line = None
        self.on_lost()


def _can_share(one: Client, other: Client) -> bool:
    return one.offer.kind == other.offer.kind == "modbus"

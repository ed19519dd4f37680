"""Every error of the SiteManager, beside those of the library (``gatelink.exceptions``).

GatelinkError
├── NetworkError        the operating system refused a change of the network
├── StateError          a file of the state directory is damaged, missing or cannot be written
├── ConfigError         the configuration has mistakes, each with its key path
└── DaemonError         the daemon runs where it must not, or does not where it must

Messages name what was seen, what was expected and what to do next; they hold no secret.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatelink.exceptions import GatelinkError, InputError


class NetworkError(GatelinkError):
    """The operating system refused a change of the network."""


class StateError(GatelinkError):
    """A file of the state directory is damaged, missing or cannot be written."""


class ConfigError(InputError):
    """The configuration has mistakes: ``mistakes`` are lines of ``key path: what is wrong``."""

    def __init__(self, where: str, mistakes: Sequence[str]) -> None:
        super().__init__(f"{where}: " + "; ".join(mistakes))
        self.mistakes = tuple(mistakes)


class DaemonError(GatelinkError):
    """The daemon runs where it must not, or does not where it must."""

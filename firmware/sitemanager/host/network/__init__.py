"""The host's network, as one whole state.

``apply`` brings the kernel from whatever it is in to the desired state; ``clean_up`` removes what any earlier run left.
``linux`` is the real one, ``fake`` keeps the state in memory for tests of what is above.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gatelink.tunnel.pump import TapLike
from sitemanager.core.admission import HostNetwork
from sitemanager.core.desired import DesiredState


class Network(Protocol):
    """What sessions ask of the host. Every call may block for tens of milliseconds; one at a time."""

    def networks(self) -> Sequence[HostNetwork]:
        """Return the networks that this host has addresses in or routes to. Raises NetworkError."""

    def free_interface(self) -> str:
        """Return a name for one more TAP adapter, used by nobody."""

    def apply(self, desired: DesiredState) -> None:
        """Put exactly this state in force; what packets may pass is never more than before or after.

        Raises NetworkError; the caller then applies a state that works.
        """

    def tap(self, interface: str) -> TapLike:
        """Return the open adapter of a session that was applied."""

    def verify(self) -> Sequence[str]:
        """Put back what others changed of the state in force; return a line about each. Raises NetworkError."""

    def clean_up(self) -> None:
        """Remove everything of ours, whoever left it. Raises NetworkError."""

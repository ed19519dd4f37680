"""Bends a GateManager from outside: Python runs this before `gm serve` when PYTHONPATH leads here (see `link_bent`).

In the directory that GATELINK_BENT_GM names:

    relay.bytes       every byte that the relay's workers carry, as it passes (written here)
    tickets           every ticket that SiteManagers are given, 32 bytes each (written here)
    clock_offset_s    how far the clock is to be off
    appliance.der     what LMs are told to be the SiteManager's certificate, instead of the right one
    user.der          what SMs are told to be the LinkManager's
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

_PLACE = Path(os.environ["GATELINK_BENT_GM"])


def _read(name: str) -> bytes:
    try:
        return (_PLACE / name).read_bytes()
    except FileNotFoundError:
        return b""


def _note(name: str, data: bytes) -> None:
    with (_PLACE / name).open("ab", buffering=0) as file:
        file.write(data)


def _listen_in() -> None:
    """Replace the kernel's splice from a leg into the pipe by a copy through this process."""
    splice = os.splice

    def recording(src: int, dst: int, count: int, *options: Any, **named: Any) -> int:
        if not stat.S_ISSOCK(os.fstat(src).st_mode):
            return splice(src, dst, count, *options, **named)
        data = os.read(src, count)
        _note("relay.bytes", data)
        # The pipe is empty and holds as much as was asked for.
        return os.write(dst, data) if data else 0

    vars(os)["splice"] = recording


def _change_the_clock() -> None:
    real = time.time

    def bent() -> float:
        return real() + float(_read("clock_offset_s") or 0)

    time.time = bent


def _lie() -> None:
    from gatelink import messages

    open_session, connected = messages.OpenSession, messages.Connected

    def lying_open_session(**fields: Any) -> messages.OpenSession:
        _note("tickets", fields["ticket"])
        fields["peer_certificate"] = _read("user.der") or fields["peer_certificate"]
        return open_session(**fields)

    def lying_connected(**fields: Any) -> messages.Connected:
        fields["peer_certificate"] = _read("appliance.der") or fields["peer_certificate"]
        return connected(**fields)

    for name, function in (("OpenSession", lying_open_session), ("Connected", lying_connected)):
        setattr(messages, name, function)


_listen_in()
_change_the_clock()
_lie()

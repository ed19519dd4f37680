"""Whether the service with rights is there for this user."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import msgspec

from gatelink.exceptions import ProtocolError
from gatelink.frames import FrameReader
from lm_client.core.findings import Finding
from lm_client.service.protocol import ServiceRefusal, decode_answer
from lm_client.streams import connect

_REFUSAL_S: Final = 0.3
"""A refusal comes at once; who may is asked nothing until he asks."""


def service_finding(path: str) -> Finding:
    """Connect and see whether it hangs up."""
    try:
        connection = connect(Path(path))
    except OSError as error:
        step = "start it: systemctl start gatelink-lm (or, by hand, sudo lm service)"
        return Finding("service", "bad", f"the service with rights is not at {path}: {error.strerror}", step)
    with contextlib.closing(connection):
        connection.settimeout(_REFUSAL_S)
        try:
            payloads = FrameReader().receive_data(connection.recv(4096))
            answer = decode_answer(payloads[0]) if payloads else None
        except TimeoutError:
            return Finding("service", "good", "the service with rights is there for you")
        except (OSError, ProtocolError, msgspec.MsgspecError):
            answer = None
    text = answer.text if isinstance(answer, ServiceRefusal) else "the service with rights hung up"
    step = "sudo adduser $USER gatelink, then log in to the desktop again"
    return Finding("service", "bad", text, step)

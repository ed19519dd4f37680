"""What the agent is told when the service with rights refuses, or is gone."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gatelink.frames import encode_frame
from gatelink.messages import TunnelAddresses
from lm_client.agent import adapter
from lm_client.agent.adapter import Plan, open_adapter
from lm_client.exceptions import ServiceError
from lm_client.service.protocol import ServiceRefusal, encode
from lm_client.streams import Stream, connect

TUNNEL = TunnelAddresses("198.18.0.2", "198.18.0.1")


@pytest.mark.parametrize(
    ("last_words", "told"),
    [
        (encode_frame(encode(ServiceRefusal(text="user 1001 may not have tunnels"))), "user 1001 may not have tunnels"),
        (b"", "the service with rights has ended"),
    ],
    ids=["refusal", "nothing"],
)
def test_refusal_is_told_also_when_the_service_hung_up_before_it_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_words: bytes, told: str
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "service.sock"))
        listening.listen()

        def connect_and_be_refused(path: Path, timeout_s: float | None) -> Stream:
            stream = connect(path, timeout_s)
            accepted, _ = listening.accept()
            with accepted:
                accepted.sendall(last_words)
            return stream

        monkeypatch.setattr(adapter, "connect", connect_and_be_refused)
        with pytest.raises(ServiceError, match=told):
            open_adapter(tmp_path / "service.sock", "press", TUNNEL, Plan(()))

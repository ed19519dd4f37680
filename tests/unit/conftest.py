"""What the tests of both pumps begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelink.tunnel.fake import FakeTap
from unit.tunnel_ends import TlsPair, close_frames, tls_pairs, write_key


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its self-signed certificate."""
    path = tmp_path_factory.mktemp("key") / "end.pem"
    write_key(path)
    return path


@pytest.fixture
def tls_pair(key_file: Path) -> Iterator[TlsPair]:
    """Makes two ends of one TLS connection over loopback TCP."""
    with tls_pairs(key_file) as make:
        yield make
    close_frames()


@pytest.fixture
def tap() -> Iterator[FakeTap]:
    found = FakeTap()
    yield found
    found.close()

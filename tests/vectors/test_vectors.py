"""The bytes of every control message stay as they are in the golden files."""

from __future__ import annotations

import pytest

from gatelink.exceptions import UnknownMessage
from gatelink.frames import FrameReader, encode_frame
from gatelink.messages import encode
from vectors.samples import FOLDER, SAMPLES, VOCABULARIES, WHO_MAY_SAY, golden


@pytest.mark.parametrize("name", SAMPLES)
def test_message_encodes_to_its_golden_frame(name: str) -> None:
    assert encode_frame(encode(SAMPLES[name])) == golden(name)


@pytest.mark.parametrize("who", VOCABULARIES)
@pytest.mark.parametrize("name", SAMPLES)
def test_golden_frame_is_understood_exactly_where_it_is_allowed(name: str, who: str) -> None:
    (payload,) = FrameReader().receive_data(golden(name))
    if name in WHO_MAY_SAY[who]:
        assert VOCABULARIES[who].decode(payload) == SAMPLES[name]
    else:
        with pytest.raises(UnknownMessage):
            VOCABULARIES[who].decode(payload)


def test_every_message_has_a_sample_and_every_file_a_test() -> None:
    assert set().union(*WHO_MAY_SAY.values()) == set(SAMPLES)
    assert {path.name.split(".")[0] for path in FOLDER.iterdir()} == set(SAMPLES)

"""Settings that people write, of any kind: every mistake with its path, and what is good of the rest."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from gatelink.settings import convert, mistakes

Port = Annotated[int, Meta(ge=1, le=65535)]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    host: Annotated[str, Meta(min_length=1)]
    port: Port = 1


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    ways: Annotated[tuple[Way, ...], Meta(max_length=2)] = ()
    best: Way | None = None
    by_name: dict[str, Way] = {}
    seconds: float = 1.0


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    inner: Inner = Inner()
    ports: tuple[Port, ...] = (443,)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"inner": {"ways": [{"host": "a", "prot": 1}]}}, ["inner.ways[0].prot: unknown key; known are host, port"]),
        ({"inner": {"ways": [{}, 5]}}, ["inner.ways[0]: host is missing", "inner.ways[1]: expected a table"]),
        ({"inner": {"ways": [{"host": "a"}] * 3}}, ["inner.ways: Expected array of length <= 2"]),
        ({"inner": {"best": {"host": "", "x": 1}}}, ["inner.best.host: ", "inner.best.x: unknown key"]),
        ({"inner": {"by_name": {"a": {"port": 0}}}}, ["inner.by_name.a.port: ", "inner.by_name.a: host is missing"]),
        ({"inner": 3, "ports": "x"}, ["inner: expected a table", "ports: "]),
        ({"ports": [0, 5, "x"], "ways": 1}, ["ports[0]: ", "ports[2]: ", "ways: unknown key"]),
        ({"two\nlines": 1}, [r"'two\nlines': unknown key"]),
    ],
)
def test_every_mistake_is_told_with_its_path(values: dict[str, Any], said: list[str]) -> None:
    _, found = convert(values, Outer)
    assert len(found) == len(said)
    for text, beginning in zip(found, said, strict=True):
        assert text.startswith(beginning)
    assert list(mistakes(values, Outer)) == found


def test_what_is_good_is_kept_when_other_keys_are_mistaken() -> None:
    settings, found = convert({"inner": {"seconds": 5, "best": {"host": "b"}, "ways": 1}, "ports": [0]}, Outer)
    assert len(found) == 2
    assert settings == Outer(inner=Inner(seconds=5.0, best=Way(host="b")))


def test_no_value_is_repeated_when_it_is_mistaken() -> None:
    _, found = convert({"inner": "geheim", "ports": ["geheim"], "geheim2": "geheim"}, Outer)
    assert not any("geheim" in text.replace("geheim2", "") for text in found)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["inner", "ports", "ways", "host", "port", "best", "a"]), inner, max_size=4)
    ),
)


@given(st.dictionaries(st.sampled_from(["inner", "ports", "x"]), values, max_size=3))
def test_settings_without_a_mistake_are_what_msgspec_reads(content: dict[str, Any]) -> None:
    settings, found = convert(content, Outer)
    if not found:
        assert msgspec.to_builtins(settings) == msgspec.to_builtins(msgspec.convert(content, Outer))

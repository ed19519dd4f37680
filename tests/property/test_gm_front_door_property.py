"""Arbitrary arrivals never break the bounds; arbitrary bytes never make the redirect leave our own addresses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gm_server.frontdoor.places import Place, Places
from gm_server.frontdoor.redirect import answer


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=80),
)
def test_bounds_hold_whatever_comes_and_goes(total: int, per_group: int, arrivals: list[tuple[int, int, bool]]) -> None:
    places = Places(total, per_group, grace_s=2.0)
    present: dict[Place, str] = {}
    now = 0.0
    for host, pause, leaves in arrivals:
        now += pause
        address = f"192.0.2.{host}"
        opens_at = places.opens_at(now)
        full = len(present) == total
        place, victim = places.admit(address, now)
        if victim is not None:
            assert now - victim.since >= 2.0
            del present[victim]
        if place is not None:
            assert not full or opens_at <= now or victim is not None
            present[place] = address
        if leaves and present:
            places.release(oldest := next(iter(present)))
            del present[oldest]
        assert len(places) == len(present) <= total
        assert all(list(present.values()).count(group) <= per_group for group in set(present.values()))


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_redirect_never_leads_elsewhere(target: bytes, host: bytes) -> None:
    response = answer(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", ("gm.example",))
    assert response is not None
    head, _, _ = response.partition(b"\r\n\r\n")
    assert head.count(b"\r\n") <= 5
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"location:"):
            rest = line.removeprefix(b"Location: https://gm.example")
            assert rest != line
            assert rest[:1] in (b"/", b":")


@given(st.binary(max_size=9000))
def test_redirect_answers_or_waits_whatever_comes(data: bytes) -> None:
    response = answer(data, ("gm.example",))
    assert response is None or response.startswith(b"HTTP/1.1 ")

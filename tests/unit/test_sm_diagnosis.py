"""What the doctor makes of what it saw."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitemanager.core.admission import HostNetwork
from sitemanager.core.diagnosis import (
    Finding,
    Needs,
    address_findings,
    clock_finding,
    letter,
    overlap_findings,
    portal_finding,
)


def known(text: str, interface: str) -> HostNetwork:
    address = ipaddress.IPv4Interface(text)
    return HostNetwork(address.network, interface, address.ip)


@pytest.mark.parametrize(
    ("off_s", "verdict", "words"),
    [(0, "good", "agrees"), (-86400 * 365 * 20, "warning", "7300 days behind"), (600, "warning", "10 minutes ahead")],
)
def test_clock_is_judged_by_the_gatemanagers(off_s: float, verdict: str, words: str) -> None:
    found = clock_finding(1_795_000_000.0, 1_795_000_000.0 + off_s)
    assert found.verdict == verdict
    assert words in found.text


def test_overlap_is_found_between_sides_and_not_within_one() -> None:
    networks = [known("192.168.1.1/24", "eth1"), known("192.168.1.9/24", "eth1"), known("10.0.0.2/8", "eth0")]
    assert [item.verdict for item in overlap_findings(networks, ("eth1",))] == ["good"]
    networks.append(known("192.168.0.5/16", "wlan0"))
    assert {item.verdict for item in overlap_findings(networks, ("eth1",))} == {"fault"}


def test_address_that_a_host_gives_itself_is_none() -> None:
    networks = [known("192.168.1.1/24", "eth1"), known("169.254.3.4/16", "eth0")]
    assert [item.verdict for item in address_findings(networks, ("eth1",))] == ["good", "fault"]


def test_letter_names_what_to_open_and_what_was_seen() -> None:
    needs = Needs(("gm.example",), (11444, 443), "10.20.1.2", "02:00:00:00:00:01", ("proxy:3128",))
    text = letter(needs, [Finding("port", "fault", "gm.example:11444 is closed", "x"), Finding("a", "good", "fine")])
    for part in ("gm.example", "11444, 443", "10.20.1.2", "02:00:00:00:00:01", "DNS", "proxy:3128", "is closed"):
        assert part in text
    assert "fine" not in text


@given(st.binary(max_size=300))
def test_portal_is_judged_whatever_is_answered(answer: bytes) -> None:
    found = portal_finding("gm.example", answer)
    assert found is None or found.verdict in ("good", "fault")

"""Which way out is in use, and when it changes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitemanager.core.leases import MOST_LINE_BYTES, parse_event
from sitemanager.core.name_answers import addresses_in, question
from sitemanager.core.uplink_addresses import address_commands
from sitemanager.core.uplink_settings import UplinkConfig, uplink_mistakes
from sitemanager.core.uplinks import ACTIVE_TABLE, BACK_S, FAIL_S, Given, Seen, UplinkChoice, route_commands

GOOD = Seen("10.0.0.2", "10.0.0.1", reaches=True)
BAD = Seen("10.0.0.2", "10.0.0.1", reaches=False)
NEW = Seen("10.0.0.2", "10.0.0.1")
GONE = Seen(text="no cable")


def choice(*steps: tuple[float, Seen, Seen]) -> list[str]:
    """The uplink in use after each step: time, the best uplink, the reserve."""
    made = UplinkChoice(("office", "modem"))
    return [made.decide({"office": office, "modem": modem}, now) for now, office, modem in steps]


def test_best_is_used_from_the_start_unless_only_another_one_reaches() -> None:
    assert choice((0, NEW, NEW)) == ["office"]
    assert choice((0, BAD, GOOD)) == ["modem"]
    assert choice((0, GONE, NEW)) == ["modem"]
    assert choice((0, GONE, GONE)) == [""]


def test_lost_cable_changes_at_once() -> None:
    assert choice((0, GOOD, GOOD), (1, GONE, GOOD)) == ["office", "modem"]


def test_dead_line_behind_a_good_cable_changes_after_a_while() -> None:
    steps = ((0.0, GOOD, GOOD), (10.0, BAD, GOOD), (10 + FAIL_S - 1, BAD, GOOD), (10 + FAIL_S, BAD, GOOD))
    assert choice(*steps) == ["office", "office", "office", "modem"]


def test_nothing_changes_when_no_other_one_is_better() -> None:
    assert choice((0, GOOD, BAD), (10, BAD, BAD), (100, BAD, BAD)) == ["office"] * 3


def test_short_break_changes_nothing() -> None:
    steps = ((0.0, GOOD, GOOD), (10.0, BAD, GOOD), (20.0, GOOD, GOOD), (20 + FAIL_S - 1, BAD, GOOD), (40.0, BAD, GOOD))
    assert choice(*steps) == ["office"] * 5


def test_better_one_is_taken_back_when_it_was_good_for_long() -> None:
    begin = ((0.0, GONE, GOOD), (100.0, GOOD, GOOD))
    assert choice(*begin, (100 + BACK_S - 1, GOOD, GOOD), (100 + BACK_S, GOOD, GOOD))[2:] == ["modem", "office"]
    flapping = ((130.0, BAD, GOOD), (140.0, GOOD, GOOD), (100 + BACK_S, GOOD, GOOD))
    assert choice(*begin, *flapping)[2:] == ["modem"] * 3


@given(st.lists(st.tuples(st.floats(0.1, 30), st.sampled_from([GOOD, BAD, GONE, NEW])), max_size=60))
def test_flapping_best_line_never_makes_the_unit_flap(weather: list[tuple[float, Seen]]) -> None:
    """Between two changes back to the best one at least ``BACK_S`` go by."""
    made, now, backs, before = UplinkChoice(("office", "modem")), 0.0, [], ""
    for wait_s, office in weather:
        now += wait_s
        active = made.decide({"office": office, "modem": GOOD}, now)
        assert active != "office" or office.is_usable
        if active == "office" and before == "modem":
            backs.append(now)
        before = active
    assert all(later - earlier >= BACK_S for earlier, later in itertools.pairwise(backs))


def test_default_route_of_the_system_is_not_touched() -> None:
    present = ["rule del priority 6699", "rule del priority 6799"]
    rows = route_commands([("office", "eth0", GOOD), ("modem", "wwan0", GONE)], "office", present)
    assert rows[:2] == present
    assert all("table" in row for row in rows if row.startswith("route"))
    assert "rule add lookup main suppress_prefixlength 0 priority 6699" in rows
    assert f"rule add lookup {ACTIVE_TABLE} priority {ACTIVE_TABLE}" in rows
    assert not any("wwan0" in row for row in rows)


def test_uplink_in_use_stays_in_use_when_a_better_one_is_added() -> None:
    """The technician who adds it shall not lose the GateManager while he tries the change."""
    made = UplinkChoice(("new", "office"), "office")
    assert made.decide({"new": NEW, "office": GOOD}, 0.0) == "office"
    assert UplinkChoice(("new",), "office").decide({"new": NEW}, 0.0) == "new"


@pytest.mark.parametrize(
    ("uplink", "words"),
    [
        (UplinkConfig(name="a", interface="eth1"), "is the machine side"),
        (UplinkConfig(name="a", interface="eth0", address="10.0.1.2/24"), "go together"),
        (UplinkConfig(name="a", interface="eth0", address="10.0.1.2", gateway="10.0.1.1"), "address and its prefix"),
        (UplinkConfig(name="a", interface="eth0", address="10.0.1.2/24", gateway="10.9.0.1"), "is not another address"),
        (UplinkConfig(name="a", interface="eth0", address="10.0.1.2/24", gateway="10.0.1.2"), "is not another address"),
        (UplinkConfig(name="a", interface="eth0", address="10.0.1.0/24", gateway="10.0.1.1"), "is an edge of"),
        (UplinkConfig(name="a", interface="eth0", address="127.0.0.2/8", gateway="127.0.0.1"), "uplinks[0].address"),
        (UplinkConfig(name="a", interface="eth0", address="x", gateway="10.9.0.1"), "uplinks[0].address"),
        (UplinkConfig(name="a", interface="eth0", address="10.0.1.2/24", gateway="10.0.1.1", dhcp=True), "either dhcp"),
        (UplinkConfig(name="a", interface="eth0", dns=("dns.example",)), "uplinks[0].dns"),
        (
            UplinkConfig(name="a", interface="eth0", address="10.7.0.9/16", gateway="10.7.0.1"),
            "the machine side's network",
        ),
    ],
)
def test_mistakes_are_named(uplink: UplinkConfig, words: str) -> None:
    mistakes = list(uplink_mistakes([uplink], ["eth1"], "10.7.4.1/24"))
    assert any(words in mistake for mistake in mistakes), mistakes


def test_machine_side_may_be_beside_the_uplink() -> None:
    uplink = UplinkConfig(name="a", interface="eth0", address="10.7.5.9/24", gateway="10.7.5.1", dns=("10.7.5.1",))
    assert list(uplink_mistakes([uplink], ["eth1"], "10.7.4.1/24")) == []


def links(*addresses: tuple[str, str]) -> list[dict[str, object]]:
    """What `ip -json address` says of eth0: addresses with their labels."""
    entries = [
        {"local": text.partition("/")[0], "prefixlen": int(text.partition("/")[2]), "label": label}
        for text, label in addresses
    ]
    return [{"ifname": "eth0", "addr_info": entries}]


def test_own_addresses_are_exactly_those_wanted_and_others_stay() -> None:
    there = links(("10.20.1.2/24", "eth0"), ("10.20.1.77/24", "eth0:gu"))
    assert address_commands(there, {"eth0": "10.20.1.77/24"}) == []
    assert address_commands(there, {}) == ["address del 10.20.1.77/24 dev eth0"]
    assert address_commands(there, {"eth0": "10.20.1.2/24"}) == ["address del 10.20.1.77/24 dev eth0"]
    assert address_commands(there, {"eth0": "10.9.0.2/24"}) == [
        "address del 10.20.1.77/24 dev eth0",
        "address add 10.9.0.2/24 dev eth0 label eth0:gu",
    ]


def test_lease_is_what_the_dhcp_server_told() -> None:
    event = parse_event(b"gatelink-lease\tbound\t10.20.1.77\t24\t10.20.1.1 10.20.1.2\t10.20.1.1 9.9.9.9\t3600\n")
    assert event is not None
    assert event.given == Given("10.20.1.77/24", "10.20.1.1", ("10.20.1.1", "9.9.9.9"))
    gone = parse_event(b"gatelink-lease\tleasefail\t\t\t\t\t\n")
    assert gone is not None
    assert gone.given is None


@given(st.one_of(st.binary(max_size=2 * MOST_LINE_BYTES), st.lists(st.text(max_size=40), min_size=5, max_size=5)))
def test_nothing_that_a_dhcp_server_tells_becomes_more_than_addresses(told: bytes | list[str]) -> None:
    line = told if isinstance(told, bytes) else "\t".join(["gatelink-lease", "bound", *told]).encode()
    event = parse_event(line)
    if event is not None and event.given is not None:
        words = (*event.given.address.split("/"), event.given.gateway, *event.given.dns)
        assert all(set(word) <= set("0123456789.") for word in words)


NAME = "gm.acme.example"


def name_answer(records: bytes, count: int, *, number: int = 7, flags: int = 0x8180, name: str = NAME) -> bytes:
    asked = question(name, number)
    return asked[:2] + flags.to_bytes(2) + b"\0\1" + count.to_bytes(2) + asked[8:] + records


A_RECORD = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\x0a"
ALIAS = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\7\4host\xc0\x0f"


def test_name_is_answered_by_the_addresses_also_behind_an_alias() -> None:
    asked = question(NAME, 7)
    assert addresses_in(name_answer(A_RECORD, 1), asked) == ("203.0.113.10",)
    assert addresses_in(name_answer(ALIAS + A_RECORD, 2), asked) == ("203.0.113.10",)
    assert addresses_in(name_answer(b"", 0, flags=0x8183), asked) == ()


def test_answer_to_another_question_is_none() -> None:
    asked = question(NAME, 7)
    for wrong in (
        name_answer(A_RECORD, 1, number=8),
        name_answer(A_RECORD, 1, flags=0x0180),
        name_answer(A_RECORD, 1, name="gm.evil.example"),
        b"",
        asked,
    ):
        assert addresses_in(wrong, asked) is None


@given(st.binary(max_size=200), st.integers(0, 65535))
def test_damaged_answer_gives_addresses_or_nothing(records: bytes, count: int) -> None:
    found = addresses_in(name_answer(records, count), question(NAME, 7))
    assert found is not None
    assert len(found) <= 32


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, "x." * 127 + "xy", "gm.äcme.example"])
def test_what_is_no_host_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError):
        question(name, 7)

"""What the page and the doctor decide without a browser or a network."""

from __future__ import annotations

import socket
import time
from ipaddress import IPv4Address, IPv4Network

import pytest

from gatelink.link.endpoints import Proxy
from lm_client.core.branches import Branch, Branches, Leaf
from lm_client.core.findings import clock_finding, route_findings, worst
from lm_client.core.local import ApplianceView, DeviceView
from lm_client.core.plot import History, Sample
from lm_client.doctor import proxies
from lm_client.home import Home
from lm_client.page import peers
from lm_client.page.keys import Door, make_word
from lm_client.service.rules import KernelRoute

KEY = b"k" * 32


def _appliance(number: int, domain: str, name: str) -> ApplianceView:
    device = DeviceView(f"d{number}", "plc", f"192.168.50.{number % 250}", (), use=f"100.96.0.{number % 250}")
    return ApplianceView(f"a{number}", domain, name, number % 2 == 0, (device,))


TREE = [_appliance(1, "Acme/Hall 3", "press"), _appliance(2, "Acme", "saw"), _appliance(3, "", "loose")]


def test_word_opens_once_and_for_a_minute() -> None:
    door = Door(KEY)
    word = make_word(KEY, 1000.0)
    assert not Door(b"x" * 32).opens(word, 1000.0)
    assert not door.opens(word, 1061.0)
    assert door.opens(word, 1001.0)
    assert not door.opens(word, 1002.0)
    assert door.opens(make_word(KEY, 1000.0), 1001.0)
    for nonsense in ("", "..", "9e99.x.y", word + "0", "ä" * 50):
        assert not door.opens(nonsense, 1001.0)
    assert door.knows(door.cookie)
    assert not door.knows("")


@pytest.mark.skipif(not peers.is_supported(), reason="only Linux tells whose a socket is")
def test_kernel_says_whose_a_connection_is() -> None:
    import os

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert peers.uid_of_peer(client.getsockname(), port) == os.geteuid()
            assert peers.uid_of_peer((client.getsockname()[0], 1), port) is None


def test_small_tree_is_open_and_a_large_one_shows_its_first_level() -> None:
    rows = Branches(TREE).rows(set()).rows
    assert [row.name if isinstance(row, Branch) else row.appliance.name for row in rows] == [
        "loose",
        "Acme",
        "saw",
        "Hall 3",
        "press",
    ]
    folded = Branches(TREE).rows({"Acme"}).rows
    assert [row.appliance.name for row in folded if isinstance(row, Leaf)] == ["loose"]
    large = Branches([_appliance(n, f"c{n % 7}/p{n % 3}", f"m{n}") for n in range(500)])
    assert {row.level for row in large.rows(set()).rows if isinstance(row, Branch)} == {0, 1}
    assert not [row for row in large.rows(set()).rows if isinstance(row, Leaf)]
    assert len([row for row in large.rows({"c0/p0"}).rows if isinstance(row, Leaf)]) > 10


def test_search_finds_by_address_and_every_word() -> None:
    tree = Branches(TREE)
    assert tree.search("100.96.0.2").found == 1
    assert tree.search("ACME hall").found == 1
    assert tree.search("press saw").found == 0


def test_search_in_5000_takes_no_time_that_anybody_sees() -> None:
    tree = Branches([_appliance(n, f"customer {n // 50}/plant", f"machine {n}") for n in range(5000)])
    begin = time.process_time()
    assert tree.search("machine 4321").found == 1
    took_s = time.process_time() - begin
    print(f"search in 5,000: {took_s * 1000:.1f} ms")
    assert took_s < 1


def test_plot_starts_anew_when_the_counters_do() -> None:
    history = History()
    for second in range(5):
        history.add(Sample(float(second), 1000 * second, 2000 * second, 0.02))
    picture = history.picture()
    assert (picture.rate_sent, picture.rate_received, picture.top_rate) == (1000.0, 2000.0, 2000.0)
    assert picture.received.startswith("M")
    assert picture.received.endswith("Z")
    history.add(Sample(6.0, 5, 5, None))
    assert history.picture().received == ""
    history.add(Sample(300.0, 10, 10, None))
    assert history.picture().sent == ""


def test_clock_is_judged_by_how_far_it_is_off() -> None:
    assert clock_finding(1000.0, 1010.0).verdict == "good"
    assert clock_finding(1000.0, 900.0).text.endswith("100 s behind the GateManager's")
    assert clock_finding(0.0, 9000.0).verdict == "bad"


def test_other_networks_are_named_when_they_are_in_the_way() -> None:
    default = KernelRoute(IPv4Network("0.0.0.0/0"), "unicast", "eth0", (IPv4Address("10.0.0.1"),))
    office = KernelRoute(IPv4Network("192.168.50.0/24"), "unicast", "wlan0", ())
    vpn = KernelRoute(IPv4Network("10.0.0.0/8"), "unicast", "tun0", ())
    devices = {"192.168.50.10": "press/plc", "10.1.1.1": "saw/plc", "172.20.0.1": "oven/plc"}
    found = route_findings([default, office, vpn], ["203.0.113.10"], devices)
    assert [(finding.what, finding.verdict) for finding in found] == [("overlap", "warn"), ("vpn", "warn")]
    assert "press/plc" in found[0].text
    assert "tun0 has 10.0.0.0/8, where saw/plc" in found[1].text
    assert worst(found) == "warn"
    assert route_findings([office], ["203.0.113.10"], {})[0].verdict == "bad"
    assert route_findings([default], ["203.0.113.10"], devices)[0].verdict == "good"


def test_profile_is_a_home_of_its_own(tmp_path: object) -> None:
    home = Home.find(str(tmp_path))
    assert home.of_profile("customer-1").path == home.path / "profiles" / "customer-1"
    for name in ("", "..", "a/b", "ä", "x" * 33):
        with pytest.raises(Exception, match="no name for a profile"):
            home.of_profile(name)


def test_proxy_of_the_desktop_is_found_in_either_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {("", "autoconfig-url"): "http://wpad/a.pac", (".https", "host"): "", (".http", "host"): "proxy"}
    said |= {(".https", "port"): "0", (".http", "port"): "3128"}
    monkeypatch.setattr(proxies, "_gsetting", lambda below, key: said[below, key])
    for mode, found in (
        ("auto", ("http://wpad/a.pac", [])),
        ("manual", ("", [(Proxy("proxy", 3128), "the desktop's settings")])),
        ("none", ("", [])),
        ("", ("", [])),
    ):
        said["", "mode"] = mode
        assert proxies._desktop_settings() == found

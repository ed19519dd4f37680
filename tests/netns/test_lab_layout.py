"""The lab is laid out as it says: who reaches whom, and who does not."""

from __future__ import annotations

import pytest

from lab import Lab, LabError, LabInUse, ping, rights
from lab.layout import GM_ADDRESS

pytestmark = pytest.mark.netns


@pytest.mark.parametrize("place", ["pc", "office", "factory", "site"])
def test_gm_answers_when_pinged_from_inside(module_lab: Lab, place: str) -> None:
    assert ping(module_lab.place(place), GM_ADDRESS).received == 1


@pytest.mark.parametrize("address", ["192.168.50.10", "fd00:50:1::10"])
def test_plc_answers_when_pinged_from_the_site(module_lab: Lab, address: str) -> None:
    assert ping(module_lab.site, address).received == 1


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("pc", "10.20.1.2"),
        ("pc", "192.168.50.10"),
        ("pc", "192.168.50.1"),
        ("internet", "10.10.1.2"),
        ("internet", "10.20.1.2"),
        ("site", "10.10.1.2"),
    ],
)
def test_nobody_answers_when_pinged_through_a_firewall(module_lab: Lab, place: str, address: str) -> None:
    assert ping(module_lab.place(place), address, timeout_s=0.2).received == 0


def test_internet_is_stopped_when_it_routes_into_a_lan(module_lab: Lab) -> None:
    module_lab.internet.run(["ip", "route", "add", "10.20.1.0/24", "via", "192.0.2.2"])
    try:
        assert ping(module_lab.internet, "10.20.1.2", timeout_s=0.2).received == 0
    finally:
        module_lab.internet.run(["ip", "route", "del", "10.20.1.0/24"])


def test_plant_has_no_default_route(module_lab: Lab) -> None:
    routes = module_lab.plant.run(["ip", "route"]).stdout
    assert "192.168.50.0/24" in routes
    assert "default" not in routes


def test_plc_stays_silent_when_asked_from_beyond_its_network(module_lab: Lab) -> None:
    assert ping(module_lab.site, "192.168.50.10", timeout_s=0.2, source="10.20.1.2").received == 0


def test_interfaces_have_plain_names(module_lab: Lab) -> None:
    assert module_lab.site.run(["ls", "/sys/class/net"]).stdout.split() == ["eth0", "eth1", "lo"]


def test_site_forwards_nothing_before_a_sitemanager_says_so(module_lab: Lab) -> None:
    assert module_lab.site.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout.strip() == "0"
    assert module_lab.site.run(["nft", "list", "ruleset"]).stdout == ""


def test_second_lab_is_refused_when_the_prefix_is_in_use(module_lab: Lab) -> None:
    with pytest.raises(LabInUse, match=rf"{module_lab.prefix}.* in use by process {rights.own_pid()};"):
        Lab(module_lab.prefix).up()
    assert ping(module_lab.pc, GM_ADDRESS).received == 1


def test_names_are_listed_when_one_is_wrong(module_lab: Lab) -> None:
    with pytest.raises(LabError, match=r"no place 'moon' .* pc, office, internet, factory, site, plant"):
        module_lab.place("moon")
    with pytest.raises(LabError, match=r"no line 'pc-moon' .* pc-office"):
        module_lab.line("pc-moon")
    with pytest.raises(LabError, match=r"no firewall 'pc' .* office, factory"):
        module_lab.firewall("pc")


@pytest.mark.parametrize("prefix", ["Gl", "g-l", "thirteenchars", "1a", "../x"])
def test_prefix_is_refused_when_it_is_odd(prefix: str) -> None:
    with pytest.raises(LabError, match="expected 1 to 12 letters"):
        Lab(prefix)

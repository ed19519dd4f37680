"""What is added to a lab that is up."""

from __future__ import annotations

import pytest

from lab import Lab, LabError, ping
from lab.layout import GM_ADDRESS

pytestmark = pytest.mark.netns


def test_second_pc_reaches_the_gm_and_the_first(lab: Lab) -> None:
    second = lab.add_pc()
    assert (second.name, lab.add_pc().name) == ("pc2", "pc3")
    assert ping(second, GM_ADDRESS).received == 1
    assert ping(second, "10.10.1.2").received == 1
    lab.line("pc2-office").cut()
    assert ping(second, GM_ADDRESS, timeout_s=0.2).received == 0
    assert ping(lab.pc, GM_ADDRESS).received == 1


def test_second_site_has_the_same_plant_network_and_a_plc_of_its_own(lab: Lab) -> None:
    site, plant = lab.add_site()
    assert (site.name, plant.name) == ("site2", "plant2")
    assert ping(site, GM_ADDRESS).received == 1
    assert ping(site, "192.168.50.10").received == 1
    lab.line("site2-plant2").cut()
    assert ping(site, "192.168.50.10", timeout_s=0.2).received == 0
    assert ping(lab.site, "192.168.50.10").received == 1


def test_plant_network_is_as_chosen(lab: Lab) -> None:
    site, plant = lab.add_site("10.77.0.0/16")
    assert ping(site, "10.77.0.10").received == 1
    assert ping(lab.add_host(plant.name), "10.77.0.1").received == 1


@pytest.mark.parametrize("network", ["10.0.0.0/30", "10.0.0.1/24", "factory", "fd00::/64"])
def test_site_is_refused_when_its_network_is_odd(lab: Lab, network: str) -> None:
    with pytest.raises(LabError, match="plant network"):
        lab.add_site(network)
    assert "site2" not in lab.places


def test_hosts_on_a_plant_reach_each_other_and_have_no_gateway(lab: Lab) -> None:
    first, second = lab.add_host(), lab.add_host()
    assert (first.name, second.name) == ("plant-b", "plant-c")
    for address in ("192.168.50.12", "192.168.50.10", "192.168.50.1", "fd00:50:1::12", "fd00:50:1::1"):
        assert ping(first, address).received == 1, address
    assert "default" not in first.run(["ip", "route"]).stdout


def test_host_is_refused_when_the_place_is_no_plant(lab: Lab) -> None:
    with pytest.raises(LabError, match="'office' is no plant network"):
        lab.add_host("office")


def test_what_one_terminal_adds_is_known_in_another(lab: Lab) -> None:
    other = Lab.attach(lab.prefix)
    assert other.add_pc().name == "pc2"
    assert lab.add_pc().name == "pc3"
    assert ping(lab.place("pc2"), "10.10.1.4").received == 1
    other.line("pc3-office").change(loss_percent=3)
    assert lab.line("pc3-office").condition.loss_percent == 3


def test_site_goes_on_when_its_address_changes(lab: Lab) -> None:
    lab.site.change_address("10.20.1.77/24")
    assert "10.20.1.2/" not in lab.site.run(["ip", "addr"]).stdout
    assert ping(lab.site, GM_ADDRESS).received == 1
    lab.site.change_address("10.20.1.2/24")
    assert ping(lab.site, GM_ADDRESS).received == 1

"""One person, two GateManagers that do not know of each other, used at the same time from one PC."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from lab import Lab
from lab.layout import GM_ADDRESS, GM_PORTS, GM_SECOND_ADDRESS
from lab.products import DOMAIN, GateManager, SiteManager, System

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(600)]
TUNNELS = IPv4Network("198.18.0.0/28")
"""Of both: four tunnels each, the same ones."""
OTHER = ("--profile", "other")
OTHER_PLC = "192.168.60.10"


def _init(gm: GateManager, address: str) -> None:
    gm.init(address)
    gm.configure("listen", [f"{address}:{port}" for port in GM_PORTS])
    gm.configure("tunnel_network", str(TUNNELS))


class TwoCustomers:
    """The usual system, and another GateManager with an appliance of its own, as the profile ``other``."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        system = System(lab)
        self.lm = system.lm
        _init(system.gm, GM_ADDRESS)
        system.__enter__()
        gm = GateManager(lab, name="gm-other")
        _init(gm, GM_SECOND_ADDRESS)
        gm.start()
        for domain in ("acme", DOMAIN):
            gm.run("domains", "add", domain)
        gm.run("users", "add", "bob", "--domain", "acme")
        site, plant = lab.add_site("192.168.60.0/24")
        plant.start_module("lab.plc", "--address", OTHER_PLC).wait_for_line("PLC listens")
        sm = SiteManager(lab, site)
        sm.enrol(gm.claim(name="oven"))
        sm.start()
        sm.wait_until_connected(60)
        gm.run("devices", "add", f"{DOMAIN}/oven", "plc", OTHER_PLC)
        gm.run("services", "add", f"{DOMAIN}/oven/plc", "modbus")
        gm.run("grants", "add", "bob", "--appliance", f"{DOMAIN}/oven")
        words = ("redeem", gm.invite("bob"), "--password-stdin")
        self.lm.run(*OTHER, *words, stdin_text="another password")

    def poll(self, address: str) -> None:
        """Read a PLC once, as any Modbus client would."""
        client = self.lab.pc.start_module("lab.modbus_client", "--address", address, "--polls", "1", "--timeout", "30")
        assert client.wait(60) == 0, client.log

    def tunnels(self) -> list[IPv4Network]:
        """The tunnels that are on this PC."""
        found: list[dict[str, Any]] = json.loads(self.lab.pc.run(["ip", "-json", "-4", "address"]).stdout)
        addresses = [IPv4Address(info["local"]) for link in found for info in link["addr_info"]]
        return [IPv4Network((address, 30), strict=False) for address in addresses if address in TUNNELS]


@pytest.fixture
def customers(lab: Lab) -> TwoCustomers:
    return TwoCustomers(lab)


def test_sessions_of_two_gms_have_tunnels_of_their_own(customers: TwoCustomers) -> None:
    lm = customers.lm
    config = (lm.home / "config.toml").read_text()
    other = lm.home / "profiles" / "other"
    (other / "config.toml").write_text(config)
    lm.run(*OTHER, "login", "--password-stdin", stdin_text="another password")
    lm.run("connect", "press")
    for _ in range(TUNNELS.num_addresses // 4):  # tunnels are given in turn: one of them is the other session's
        lm.run(*OTHER, "connect", "oven")
        assert len(set(customers.tunnels())) == 2
        customers.poll(OTHER_PLC)
        lm.run(*OTHER, "disconnect", "oven")
    # Where the turn begins is random: with the other session's tunnel it comes to that one twice.
    assert (other / "agent.log").read_text().count("another tunnel is asked for: ") in {1, 2}
    customers.poll("192.168.50.10")
    rows = {row["profile"]: (row["user"], row["gm"], row["logged_in"]) for row in lm.ask("profiles")}
    assert rows == {"": ("ann", GM_ADDRESS, True), "other": ("bob", GM_SECOND_ADDRESS, True)}
    lm.run(*OTHER, "logout")
    assert [row["logged_in"] for row in lm.ask("profiles")] == [True, False]

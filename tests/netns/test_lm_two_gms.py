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
VIRTUAL = "100.96.0.1"
"""Of each GateManager's first device."""


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
        gm.run_each(["domains", "add", "acme"], ["domains", "add", DOMAIN], ["users", "add", "bob", "--domain", "acme"])
        site, plant = lab.add_site("192.168.60.0/24")
        plant.start_module("lab.plc", "--address", OTHER_PLC).wait_for_line("PLC listens")
        sm = SiteManager(lab, site)
        sm.enrol(gm.claim(name="oven"))
        sm.start()
        sm.wait_until_connected(60)
        gm.run_each(
            ["devices", "add", f"{DOMAIN}/oven", "plc", OTHER_PLC],
            ["services", "add", f"{DOMAIN}/oven/plc", "modbus"],
            ["grants", "add", "bob", "--appliance", f"{DOMAIN}/oven"],
        )
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

    def routes(self) -> list[dict[str, Any]]:
        """The routes of this PC."""
        found: list[dict[str, Any]] = json.loads(self.lab.pc.run(["ip", "-json", "-4", "route"]).stdout)
        return found

    def used(self) -> dict[str, str]:
        """Which address leads to each device that is connected, by its own."""
        asked = [self.lm.ask("status"), self.lm.ask(*OTHER, "status")]
        sessions = [session for status in asked for session in status["sessions"]]
        return {device["address"]: device["use"] for session in sessions for device in session["devices"]}


@pytest.fixture
def customers(lab: Lab) -> TwoCustomers:
    return TwoCustomers(lab)


def test_sessions_of_two_gms_have_tunnels_of_their_own(customers: TwoCustomers) -> None:
    lm = customers.lm
    lm.run(*OTHER, "login", "--password-stdin", stdin_text="another password")
    lm.run("connect", "press")
    for _ in range(TUNNELS.num_addresses // 4):  # tunnels are given in turn: one of them is the other session's
        lm.run(*OTHER, "connect", "oven")
        assert len(set(customers.tunnels())) == 2
        customers.poll(OTHER_PLC)
        lm.run(*OTHER, "disconnect", "oven")
    # Where the turn begins is random: with the other session's tunnel it comes to that one twice.
    log = lm.home / "profiles" / "other" / "agent.log"
    assert log.read_text().count("another tunnel is asked for: ") in {1, 2}
    customers.poll("192.168.50.10")
    lm.run("disconnect", "press")
    _virtual_addresses(customers)
    rows = {row["profile"]: (row["user"], row["gm"], row["logged_in"]) for row in lm.ask("profiles")}
    assert rows == {"": ("ann", GM_ADDRESS, True), "other": ("bob", GM_SECOND_ADDRESS, True)}
    lm.run(*OTHER, "logout")
    assert [row["logged_in"] for row in lm.ask("profiles")] == [True, False]


def _virtual_addresses(customers: TwoCustomers) -> None:
    """The office has both plants' networks, and both GateManagers gave their device the same virtual address."""
    lm, pc = customers.lm, customers.lab.pc
    before = customers.routes()
    pc.run(["ip", "tuntap", "add", "office", "mode", "tap"])
    pc.run(["ip", "link", "set", "office", "up"])
    for network in ("192.168.50.77/24", "192.168.60.77/24"):
        pc.run(["ip", "address", "add", network, "dev", "office"])
    in_office = customers.routes()
    lm.run("connect", "press")
    lm.run(*OTHER, "connect", "oven")
    assert customers.used() == {"192.168.50.10": VIRTUAL, OTHER_PLC: "100.104.0.1"}
    assert (
        "other virtual addresses are asked for: 100.96.0.1 in use on this PC already"
        in (lm.home / "profiles" / "other" / "agent.log").read_text()
    )
    for address in customers.used().values():
        customers.poll(address)
    lm.run("disconnect", "press")
    customers.poll("100.104.0.1")  # what was chosen stays for as long as the session does
    lm.run(*OTHER, "disconnect", "oven")
    lm.run(*OTHER, "connect", "oven")
    assert customers.used() == {OTHER_PLC: VIRTUAL}
    lm.run(*OTHER, "disconnect", "oven")
    assert customers.routes() == in_office
    pc.run(["ip", "link", "delete", "office"])
    assert customers.routes() == before

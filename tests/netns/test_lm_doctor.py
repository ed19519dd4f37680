"""What `lm doctor` names: each thing between a PC and its GateManager, broken for real."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from gatelink.identity import self_signed, to_pem
from lab import Lab, MitmRelay, start_proxy
from lab.products import GM_ADDRESS, GateManager, LinkManager

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


class Office:
    """A PC that has redeemed its invitation; nobody is logged in."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.gm = GateManager(lab)
        self.gm.init()
        self.gm.start()
        self.gm.run("domains", "add", "acme")
        self.gm.run("users", "add", "ann", "--domain", "acme")
        self.lm = LinkManager(lab)
        self.lm.start_service()
        self.lm.redeem(self.gm.invite())

    def findings(
        self, env: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> tuple[int, dict[str, dict[str, Any]]]:
        """The exit status, and what the doctor says by what it looked at: of several, the worst."""
        argv = [*prefix, *self.lm.argv("doctor", "--json")]
        environment = {**self.lm.environment, "LC_ALL": "C", **(env or {})}
        done = self.lab.pc.run(argv, check=False, env=environment, user=self.lm.user, timeout_s=60)
        found: dict[str, dict[str, Any]] = {}
        for finding in sorted(json.loads(done.stdout), key=lambda each: ["good", "warn", "bad"].index(each["verdict"])):
            found[finding["what"]] = finding
        return done.returncode, found


@pytest.fixture(scope="module")
def office(module_lab: Lab) -> Office:
    return Office(module_lab)


@pytest.fixture(autouse=True)
def mended(office: Office) -> Iterator[None]:
    yield
    office.lab.firewall("office").open()
    office.lm.configure()


def test_everything_is_well_when_nothing_is_broken(office: Office) -> None:
    status, found = office.findings()
    assert status == 0, found
    assert {finding["verdict"] for finding in found.values()} == {"good"}
    assert {"service", "ports", "clock", "proxy", "routes"} <= set(found)
    assert "answers on port 443 of 203.0.113.10" in found["ports"]["text"]


def test_closed_port_is_named_with_the_one_that_is_open(office: Office) -> None:
    office.lab.firewall("office").close_ports(443)
    status, found = office.findings()
    assert status == 1
    assert found["ports"]["verdict"] == "bad"
    assert "answers on port 11444, 80, but not on 443" in found["ports"]["text"]
    assert "set ports = [11444]" in found["ports"]["next_step"]


def test_proxy_of_the_system_and_of_a_pac_file_is_named_when_it_is_the_only_way(office: Office) -> None:
    proxy = start_proxy(office.lab, "office")
    office.lab.firewall("office").allow_only_proxy()
    host, port = proxy.address, proxy.port
    login = f"{proxy.user}:{proxy.password}@"
    status, found = office.findings({"https_proxy": f"http://{login}{host}:{port}"})
    assert status == 1
    assert found["ports"]["verdict"] == "bad"
    assert (
        f"the proxy {host}:{port} (found in the variable https_proxy) leads to the GateManager"
        in found["proxy"]["text"]
    )
    assert f'proxies = [{{ host = "{host}", port = {port}, username' in found["proxy"]["next_step"]
    pac = office.lm.directory / "office.pac"
    pac.write_text(f'function FindProxyForURL(url, host) {{ return "PROXY {host}:{port}; DIRECT"; }}')
    pac.chmod(0o644)
    _, found = office.findings({"GATELINK_PAC_URL": pac.as_uri()})
    assert found["proxy"]["verdict"] == "bad"  # it asks for a password, which no PAC file has
    assert "the PAC file" in found["proxy"]["text"]
    assert "asks for a user name and password" in found["proxy"]["text"]


def test_tls_inspection_is_named_with_its_certificate(office: Office) -> None:
    impostor = self_signed("Office Security Gateway", NOW, 365)
    file = office.lab.run_directory / "inspector.pem"
    file.write_bytes(to_pem(impostor))
    with MitmRelay(office.lab, "office", file, file):
        status, found = office.findings()
    assert status == 1
    assert found["tls-inspection"]["verdict"] == "bad"
    assert "Office Security Gateway" in found["tls-inspection"]["text"]
    assert "except it from inspection" in found["tls-inspection"]["next_step"]


def test_wrong_clock_is_named(office: Office) -> None:
    status, found = office.findings(prefix=("faketime", "-f", "+2h"))
    assert status == 1
    assert "this PC's clock is 2 h ahead of the GateManager's" in found["clock"]["text"]


def test_own_firewall_is_named_when_it_drops_what_leaves_the_pc(office: Office) -> None:
    ports = "{ 443, 11444, 80 }"
    rules = f"table ip own {{\nchain out {{\ntype filter hook output priority 0\ntcp dport {ports} drop\n}}\n}}\n"
    office.lab.pc.run(["nft", "-f", "-"], stdin_text=rules)
    try:
        status, found = office.findings()
    finally:
        office.lab.pc.run(["nft", "delete", "table", "ip", "own"])
    assert status == 1
    assert "a firewall on this PC keeps TCP from 203.0.113.10 port 443, 11444, 80" in found["local-firewall"]["text"]


def test_vpn_is_named_when_the_way_to_the_gm_goes_through_it(office: Office) -> None:
    office.lab.pc.run(["ip", "tuntap", "add", "dev", "tun-corp", "mode", "tun"])
    try:
        office.lab.pc.run(["ip", "link", "set", "tun-corp", "up"])
        office.lab.pc.run(["ip", "route", "add", f"{GM_ADDRESS}/32", "dev", "tun-corp"])
        status, found = office.findings()
    finally:
        office.lab.pc.run(["ip", "link", "del", "tun-corp"])
    assert status == 1
    assert f"the way to the GateManager ({GM_ADDRESS}) goes through the VPN tun-corp" in found["vpn"]["text"]


def test_missing_service_and_unknown_name_are_named(office: Office) -> None:
    office.lm.socket.rename(office.lm.socket.with_suffix(".away"))
    profile = office.lm.home / "profile.json"
    before = profile.read_text()
    profile.write_text(before.replace(GM_ADDRESS, "gm.acme.invalid"))
    try:
        status, found = office.findings()
    finally:
        office.lm.socket.with_suffix(".away").rename(office.lm.socket)
        profile.write_text(before)
    assert status == 1
    assert found["service"]["next_step"].startswith("start it: systemctl start gatelink-lm")
    assert "the name gm.acme.invalid is not found" in found["dns"]["text"]

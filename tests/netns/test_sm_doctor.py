"""Each fault of a site is made in the lab, and the doctor names it."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import Lab, wait_until
from lab.layout import GM_ADDRESS
from lab.mitm import MitmRelay
from lab.products import APPLIANCE, System
from lab.proxy import start_proxy

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
_PORTAL = """
import http.server
class Portal(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302); self.send_header("Location", "http://login.guest.example/"); self.end_headers()
server = http.server.HTTPServer(("", 8081), Portal)
print("portal listens", flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    found = System(module_lab)
    found.gm.init()
    found.gm.configure("keepalive_s", 2.0)
    found.sm.run("config", "set", "backoff_longest_s", "1")
    found.start_plc()
    found.start_gm()
    found.start_sm()
    found.add_device(f"{APPLIANCE}/ghost", "192.168.50.99", "ping")
    wait_until(lambda: len(checked(found)) == 2, 20, "both devices to be checked")
    return found


def checked(system: System) -> list[dict[str, Any]]:
    return [device for device in system.sm.ask("devices")["devices"] if device["reachable"] is not None]


def diagnosis(system: System) -> dict[str, Any]:
    """What the doctor says; the status of the command is 1 where there is a fault."""
    return dict(json.loads(system.sm.run("doctor", "--json", check=False).stdout))


def findings(system: System, check: str, *verdicts: str) -> list[str]:
    """The texts of one check's findings with these verdicts."""
    found = [item for item in diagnosis(system)["findings"] if item["check"] == check and item["verdict"] in verdicts]
    assert all(item["next_step"] for item in found if item["verdict"] == "fault")
    return [str(item["text"]) for item in found]


@contextmanager
def undone(system: System, place: str, do: str, undo: str) -> Iterator[None]:
    """A command in a place, and its opposite afterwards."""
    system.lab[place].run(do.split())
    try:
        yield
    finally:
        system.lab[place].run(undo.split())


def certificate(directory: Path, issuer: str, subject: str) -> tuple[Path, Path]:
    """What somebody in between presents."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    by, of = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (issuer, subject))
    made = x509.CertificateBuilder(by, of, key.public_key(), 4711, now, now + datetime.timedelta(days=1))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "c.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (directory / "k.pem").write_bytes(pem)
    return directory / "c.pem", directory / "k.pem"


def test_all_is_good_but_the_device_that_is_not_there(system: System) -> None:
    said = diagnosis(system)
    bad = [item for item in said["findings"] if item["verdict"] != "good"]
    assert [(item["check"], item["verdict"]) for item in bad] == [("device", "fault")], bad
    assert "192.168.50.99" in bad[0]["text"]
    seen = {item["check"] for item in said["findings"]}
    assert seen == {"cable", "address", "duplicate", "networks", "port", "clock", "portal", "MTU", "device"}
    for part in (GM_ADDRESS, "11444, 443, 80", "10.20.1.2", "Please do not open"):
        assert part in said["letter"]
    text = system.sm.run("doctor", check=False).stdout
    assert "FAULT device" in text
    assert "-> is it on" in text


def test_cable_of_the_machine_side_is_named(system: System) -> None:
    with undone(system, "plant", "ip link set port-site down", "ip link set port-site up"):
        system.lab.line("site-plant").unplug()
        try:
            assert any("machine side eth1" in text for text in findings(system, "cable", "fault"))
        finally:
            system.lab.line("site-plant").plug()


def test_missing_way_out_is_named(system: System) -> None:
    with undone(system, "site", "ip route del default", "ip route add default via 10.20.1.1"):
        assert findings(system, "route", "fault") == ["there is no way out: no default gateway"]


def test_somebody_elses_use_of_our_address_is_named(system: System) -> None:
    do, undo = (f"ip address {verb} 192.168.50.1/24 dev br0" for verb in ("add", "del"))
    with undone(system, "plant", do, undo):
        (text,) = findings(system, "duplicate", "fault")
        assert "192.168.50.1 on eth1 is used by somebody else as well" in text


def test_overlap_of_uplink_and_machine_side_is_named(system: System) -> None:
    do, undo = (f"ip address {verb} 192.168.50.200/24 dev eth0" for verb in ("add", "del"))
    with undone(system, "site", do, undo):
        assert any("have the same addresses" in text for text in findings(system, "networks", "fault"))


def test_closed_port_is_a_warning_while_another_one_is_open(system: System) -> None:
    factory = system.lab.firewall("factory")
    factory.close_ports(11444, how="reject")
    try:
        (text,) = findings(system, "port", "warning")
        assert f"{GM_ADDRESS}:11444" in text
        factory.close_ports(11444, 443, 80, how="reject")
        assert len(findings(system, "port", "fault")) == 3
    finally:
        factory.open()


def test_proxy_that_refuses_the_login_is_named(system: System) -> None:
    start_proxy(system.lab, "factory")
    wrong = '[{host = "10.20.1.1", port = 3128, username = "gate", password = "wrong"}]'
    system.sm.run("config", "set", "proxies", wrong)
    system.sm.kill9()
    system.sm.start()
    try:
        system.sm.wait_until_connected(20)
        said = diagnosis(system)
        texts = [item["text"] for item in said["findings"] if item["check"] == "proxy"]
        assert texts
        assert all("refused the user name and password" in text for text in texts)
        assert "10.20.1.1:3128" in said["letter"]
    finally:
        system.sm.run("config", "set", "proxies", "[]")
        system.sm.kill9()
        system.sm.start()
        system.sm.wait_until_connected(20)


def test_who_signs_tls_anew_is_named(system: System, tmp_path: Path) -> None:
    pem, key = certificate(tmp_path, "Acme Web Filter CA", "gm.example")
    with MitmRelay(system.lab, "factory", pem, key):
        texts = findings(system, "TLS", "fault")
        assert texts
        assert all("signed anew by 'CN=Acme Web Filter CA'" in text for text in texts)


def test_foreign_gatemanager_is_a_pin_mismatch(system: System, tmp_path: Path) -> None:
    pem, key = certificate(tmp_path, "GateManager", "GateManager")
    with MitmRelay(system.lab, "factory", pem, key):
        texts = findings(system, "pin", "fault")
        assert texts
        assert all("another certificate than the pinned one" in text for text in texts)


def test_captive_portal_is_named(system: System) -> None:
    portal = system.lab.factory.start([sys.executable, "-c", _PORTAL], name="portal")
    portal.wait_for_line("portal listens")
    rules = "add table ip portal; add chain ip portal c { type nat hook prerouting priority -110; }; "
    system.lab.factory.run(["nft", f"{rules} add rule ip portal c iifname lan0 tcp dport 80 redirect to :8081"])
    try:
        (text,) = findings(system, "portal", "fault")
        assert "http://login.guest.example/" in text
    finally:
        system.lab.factory.run(["nft", "delete table ip portal"])
        portal.kill9()


def test_short_packets_on_the_way_are_named(system: System) -> None:
    with undone(system, "factory", "ip link set wan0 mtu 1300", "ip link set wan0 mtu 1500"):
        assert findings(system, "MTU", "warning") == ["packets longer than 1280 bytes do not get through"]


def test_name_that_cannot_be_looked_up_is_named(system: System) -> None:
    system.sm.run("config", "set", "gm_addresses", f"{GM_ADDRESS},gm.nowhere.invalid")
    system.sm.kill9()
    system.sm.start()
    system.sm.wait_until_connected(20)
    (text,) = findings(system, "DNS", "fault")
    assert "gm.nowhere.invalid" in text

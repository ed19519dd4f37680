"""The machine-side port with real clients and servers: busybox udhcpc and udhcpd; addresses that go again."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import Lab, Place, wait_until
from lab.products import SiteManager

pytestmark = pytest.mark.netns
SCRIPT = """#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
echo "got $ip/$mask router=${router:-none} dns=${dns:-none} lease=$lease"
"""


@pytest.fixture(scope="module")
def sm(module_lab: Lab) -> SiteManager:
    """A new unit; its port is the plant's eth1."""
    sm = SiteManager(module_lab)
    sm.run("init", "--dev-interface", "eth1")
    sm.start()
    assert sm.process is not None
    sm.process.wait_for_line("DHCP on eth1: 10.0.0.100 to 10.0.0.149")
    return sm


def udhcpc(place: Place, directory: Path, *options: str, interface: str = "br0") -> str:
    """Ask once; what the client got."""
    script = directory / "udhcpc.sh"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    argv = ["udhcpc", "-i", interface, "-f", "-q", "-n", "-t", "4", "-T", "1", "-s", str(script), *options]
    done = place.run(argv, check=False)
    return next((line for line in done.stdout.splitlines() if line.startswith("got ")), done.stdout + done.stderr)


def addresses(sm: SiteManager) -> str:
    return sm.place.run(["ip", "-4", "-oneline", "address", "show", "dev", "eth1"]).stdout


def test_laptop_gets_an_address_and_keeps_its_own_internet(sm: SiteManager, module_lab: Lab, tmp_path: Path) -> None:
    assert "10.0.0.1/24" in addresses(sm)
    assert udhcpc(module_lab.plant, tmp_path) == "got 10.0.0.100/24 router=none dns=none lease=3600"
    host = module_lab.add_host()
    assert udhcpc(host, tmp_path, interface="eth0") == "got 10.0.0.101/24 router=none dns=none lease=3600"
    assert udhcpc(module_lab.plant, tmp_path) == "got 10.0.0.100/24 router=none dns=none lease=3600"


def test_unit_is_silent_when_another_server_is_there(sm: SiteManager, module_lab: Lab, tmp_path: Path) -> None:
    """Another unit, already serving, in the plant's place: ours keeps silent after its restart."""
    assert sm.process is not None
    sm.process.terminate()
    other = module_lab.places["plant-b"]
    other.run(["ip", "addr", "add", "10.0.0.5/24", "dev", "eth0"])
    conf = tmp_path / "udhcpd.conf"
    leases = tmp_path / "leases"
    leases.touch()
    conf.write_text(
        f"start 10.0.0.200\nend 10.0.0.210\ninterface eth0\nlease_file {leases}\npidfile {tmp_path / 'pid'}\n"
    )
    server = other.start(["busybox", "udhcpd", "-f", str(conf)], name="udhcpd")
    try:
        wait_until(lambda: ":67 " in other.run(["ss", "-Hlun"]).stdout, 5, "the other server")
        sm.start()
        sm.process.wait_for_line("another DHCP server answers on eth1: 192.168.50.11")
        assert udhcpc(module_lab.plant, tmp_path).startswith("got 10.0.0.2")
        assert ":67 " not in sm.place.run(["ss", "-Hlun"]).stdout
    finally:
        server.kill9()


def test_own_address_goes_and_others_stay_when_it_is_configured_away(sm: SiteManager) -> None:
    assert "10.0.0.1/24" in addresses(sm)
    assert sm.process is not None
    sm.process.terminate()
    assert "10.0.0.1/24" in addresses(sm), "the page is to be reached while the daemon restarts"
    sm.run("config", "set", "dhcp.enabled", "false")
    sm.run("config", "set", "dev_address", "10.7.0.1/24")
    sm.start()
    sm.process.wait_for_line("not enrolled")
    wait_until(lambda: "10.7.0.1/24" in addresses(sm), 5, "the new address")
    assert "10.0.0.1/24" not in addresses(sm)
    assert "192.168.50.1/24" in addresses(sm)

"""What an uplink starts on a real host: wpa_supplicant with our configuration and control socket, and a DHCP client.

There is no radio here: the real wpa_supplicant runs with its driver for cables, which associates with nothing.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from lab import Lab, wait_until
from lab.products import SiteManager
from sitemanager.core.wifi import status_values
from sitemanager.host.wifi import LinuxWifi

pytestmark = [pytest.mark.netns, pytest.mark.timeout(240)]
PATIENT_S = 60.0
ASK = """
import sys
from pathlib import Path
from sitemanager.host.wifi import LinuxWifi
print(LinuxWifi(Path(sys.argv[1])).ask("wlan9", sys.argv[2]))
"""


@pytest.fixture(scope="module")
def lab_with_port(module_lab: Lab) -> Lab:
    module_lab.site.run(["ip", "link", "add", "wlan9", "type", "veth", "peer", "name", "air9"])
    module_lab.site.run(["ip", "link", "set", "wlan9", "up"])
    return module_lab


def test_real_supplicant_reads_our_configuration_and_answers_on_its_control_socket(
    lab_with_port: Lab, tmp_path: Path
) -> None:
    directory = tmp_path / "wifi"
    host = LinuxWifi(directory, drivers="wired")
    site = lab_with_port.site

    def ask(command: str) -> str:
        return site.run([sys.executable, "-c", ASK, directory, command]).stdout.strip()

    for ssid, passphrase, keys in (
        ("Hall 4 ü", 'pass"word # 1', {"WPA-PSK", "WPA-PSK-SHA256", "SAE"}),
        ("open", "", {"NONE"}),
    ):
        process = site.start(host.argv("wlan9", ssid, passphrase), name="wpa_supplicant")
        status = wait_until(lambda: status_values(ask("STATUS")), PATIENT_S, "the control socket")
        assert "wpa_state" in status, process.log
        assert set(ask("GET_NETWORK 0 key_mgmt").split()) == keys
        shown = ask("GET_NETWORK 0 ssid")
        assert shown in (f'"{ssid}"', ssid.encode().hex())
        assert stat.S_IMODE((directory / "wlan9.conf").stat().st_mode) == 0o600
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        process.kill9()


def test_port_that_is_no_radio_says_so_and_children_end_with_a_daemon_that_was_killed(lab_with_port: Lab) -> None:
    sm = SiteManager(lab_with_port)
    sm.run("init", "--dev-interface", "eth1")
    uplinks = (
        '[{name = "cable", interface = "eth0", dhcp = true},'
        ' {name = "hall", interface = "wlan9", kind = "wifi", ssid = "4", passphrase = "geheim geheim", dhcp = true}]'
    )
    sm.run("config", "set", "uplinks", uplinks)
    process = sm.start()
    process.wait_for_line("wpa_supplicant cannot use wlan9: is it a Wi-Fi adapter", PATIENT_S)
    wait_until(lambda: len(children(sm, "udhcpc")) == 2, PATIENT_S, "the DHCP clients")
    assert "geheim" not in process.log
    assert "geheim" not in sm.run("config", "show").stdout
    assert stat.S_IMODE((sm.runtime / "wifi" / "wlan9.conf").stat().st_mode) == 0o600
    sm.kill9()
    wait_until(lambda: children(sm, "udhcpc") == [], PATIENT_S, "the clients to end")


def children(sm: SiteManager, name: str) -> list[str]:
    """The processes of this name in the place."""
    pids = sm.place.run(["ip", "netns", "pids", sm.place.namespace]).stdout.split()
    found = []
    for pid in pids:
        try:
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if name in Path(argv[0].decode()).name:
            found.append(pid)
    return found

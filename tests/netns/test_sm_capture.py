"""A capture of the machine side, read by tcpdump."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import Lab, ping
from lab.products import PLC_ADDRESS, SiteManager
from sitemanager.core.capture import MAX_FILE_BYTES, PcapFile

pytestmark = pytest.mark.netns


def test_packets_of_the_machine_side_are_in_the_file_and_no_others(lab: Lab, tmp_path: Path) -> None:
    sm = SiteManager(lab)
    sm.run("config", "set", "dev_interfaces", "eth1")
    sm.start().wait_for_line("not enrolled", 20)
    capture = lab.site.start(
        [str(Path(".venv/bin/sm").resolve()), "capture", str(tmp_path / "c.pcap"), "--seconds", "2"], env=sm.environment
    )
    while capture.returncode is None and not any("packets" in line for line in capture.lines):
        assert ping(lab.site, PLC_ADDRESS).received == 1
        ping(lab.site, "10.20.1.1")
    assert capture.wait(10) == 0, capture.log
    listed = lab.site.run(["tcpdump", "-nr", str(tmp_path / "c.pcap")]).stdout
    assert f"192.168.50.1 > {PLC_ADDRESS}: ICMP echo request" in listed
    assert "10.20.1.1" not in listed
    refused = sm.run("capture", str(tmp_path / "d.pcap"), "--interface", "eth0", check=False)
    assert refused.returncode == 1
    assert "only the machine side" in refused.stderr


def test_file_is_bounded_whatever_comes() -> None:
    file = PcapFile()
    while not file.is_full:
        file.add(bytes(9000), 1_795_000_000.25)
    assert len(file.data) <= MAX_FILE_BYTES
    assert file.frames > 900

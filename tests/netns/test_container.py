"""The container: built from its Containerfile, run as its compose file says; an SM and an LM connect to it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.products import System
from netns.container_gm import IMAGE, ROOT, ContainerGm, Podman, missing

_LOOK_AROUND = r"""
import errno, json, os, re, shutil
try:
    open("/opt/x", "w")
    wrote = "/opt/x"
except OSError as error:
    wrote = errno.errorcode[error.errno]
rights = re.search(r"CapEff:[ \t]*([0-9a-f]+)", open("/proc/1/status").read())[1]
tools = [tool for tool in ("/opt/gatelink/bin/pip", "gcc", "cc", "make") if shutil.which(tool)]
print(json.dumps({"wrote": wrote, "rights": rights, "tools": tools, "user": os.getuid()}))
"""
pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"no container can be made, and in CI it must be: {reason}", pytrace=False)
        pytest.skip(reason)
    podman = Podman()
    podman.build()
    yield podman
    podman.close()


@pytest.fixture
def containers(lab: Lab, podman: Podman) -> Iterator[ContainerGm]:
    gm = ContainerGm(lab, podman)
    gm.remove()
    try:
        yield gm
    finally:
        gm.remove()


def test_sitemanager_and_linkmanager_work_with_a_gatemanager_in_a_container(
    lab: Lab, podman: Podman, containers: ContainerGm
) -> None:
    system = System(lab)
    system.gm = gm = containers
    system.start_plc()
    system.start_gm()
    system.start_sm()
    system.start_lm()
    system.lm.run("connect", "acme/line3/press")
    ping = lab.pc.run(["ping", "-c", "2", "-W", "2", "192.168.50.10"], check=False)
    assert ping.returncode == 0, ping.stdout

    # Nobody in it, nothing to write but the volume, nothing that builds or installs.
    assert gm.inspect("{{.Config.User}}") == "10001:10001"
    assert gm.inspect("{{.HostConfig.ReadonlyRootfs}}") == "true"
    inside = json.loads(podman.run("exec", gm.name, "python3", "-c", _LOOK_AROUND).stdout)
    assert inside == {"wrote": "EROFS", "rights": "0" * 16, "tools": [], "user": 10001}
    image = json.loads(podman.run("inspect", IMAGE).stdout)[0]
    assert image["Healthcheck"]["Test"] == ["CMD", "gm", "health"]

    # Told to stop, it ends the session, says so to everybody, and is gone long before it would be killed.
    assert gm.stop() < 15
    lines = [json.loads(line) for line in gm.log().splitlines() if line.startswith("{")]
    assert any("gm-stopped" in line["message"] for line in lines)
    assert gm.inspect("{{.State.ExitCode}}") == "0"


def test_files_beside_the_containerfile_agree_with_it() -> None:
    folder = ROOT / "gm_server"
    containerfile = (folder / "Containerfile").read_text()
    compose, quadlet = (folder / "compose.yaml").read_text(), (folder / "gatelink-gm.container").read_text()
    for port in ("11444", "443", "80"):
        assert f"{port}/tcp" in containerfile
        assert f'"{port}:{port}"' in compose
    for text in (compose, quadlet):
        assert "localhost/gatelink-gm:latest" in text
        assert "/data" in text
    assert "read_only: true" in compose
    assert "ReadOnly=true" in quadlet
    assert "USER 10001:10001" in containerfile


def test_container_holds_exactly_what_the_distribution_needs() -> None:
    needs = tomllib.loads((ROOT / "gm_server" / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = {_name(need) for need in needs} - {"gatelink"}
    listed = {_name(line) for line in Path(ROOT / "requirements" / "container.in").read_text().splitlines()} - {""}
    assert listed == wanted
    locked = dict(_pins("container.lock"))
    everything = dict(_pins("dev.lock"))
    assert {name: everything.get(name) for name in locked} == locked


def _name(text: str) -> str:
    for stop in "#~=<>! ":
        text = text.split(stop, 1)[0]
    return text.strip().lower()


def _pins(name: str) -> list[tuple[str, str]]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [(line.split("==")[0], line.split("==")[1].split()[0]) for line in lines if "==" in line and line[0] != " "]

"""A GateManager as `pip install` puts it onto a server: with what its pages load; honest where that is missing."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gatelink.link.endpoints import Endpoint
from gm_server.directory import DataDirectory
from gm_server.web.assets import FETCHED
from inproc.gm_running import Clock, RunningGm, make_directory
from inproc.portal_person import Person

ROOT = Path(__file__).parents[2]
PACKAGE = "gm_server/web/"
MAIN = "import sys; from gm_server.cli import main; sys.exit(main())"


class InstalledGm(RunningGm):
    """``gm serve`` of an installation in a folder of its own."""

    def __init__(self, directory: DataDirectory, installation: Path) -> None:
        super().__init__(directory, Clock())
        self._installation = installation
        self.lines: list[str] = []
        self._port = 0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self._port)

    async def __aenter__(self) -> InstalledGm:
        command = (sys.executable, "-P", "-c", MAIN, "--data", str(self.directory.path), "serve")
        environment = os.environ | {"PYTHONPATH": str(self._installation)}
        self._process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE, env=environment)
        assert self._process.stderr is not None
        async with asyncio.timeout(60):
            while not self._port:
                line = (await self._process.stderr.readline()).decode()
                assert line, self.lines
                self.lines.append(line)
                ready = re.search(r"^gm: serving on 127\.0\.0\.1:(\d+)$", line)
                self._port = int(ready[1]) if ready else 0
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        async with asyncio.timeout(60):
            await self._process.communicate()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip makes of the tree's files and of what was fetched, unpacked."""
    place = tmp_path_factory.mktemp("installed")
    listed = subprocess.run(["git", "ls-files", "-z", "gm_server"], cwd=ROOT, capture_output=True, check=True).stdout
    names = [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]
    for name in (*names, *(f"gm_server/{PACKAGE}static/{fetched}" for fetched in FETCHED)):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    pip = (sys.executable, "-P", "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(place))
    subprocess.run([*pip, *options, str(place / "gm_server")], check=True)
    [wheel] = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    return place / "site"


def test_everything_that_pages_need_is_installed_when_it_was_fetched_before(installation: Path) -> None:
    here = ROOT / "gm_server" / PACKAGE
    needed = {
        path.relative_to(here).as_posix() for kind in ("html", "css", "js", "po") for path in here.rglob(f"*.{kind}")
    }
    installed = {path.relative_to(installation / PACKAGE).as_posix() for path in (installation / PACKAGE).rglob("*.*")}
    assert {f"static/{name}" for name in FETCHED} <= needed
    assert needed - installed == set()


def test_pages_work_and_everybody_is_told_when_what_makes_them_live_was_not_fetched(
    installation: Path, tmp_path: Path
) -> None:
    shutil.copytree(installation, tmp_path / "site", ignore=shutil.ignore_patterns("vendor"))

    async def scenario() -> None:
        async with InstalledGm(make_directory(tmp_path / "gm"), tmp_path / "site") as gm:
            [said] = [line for line in gm.lines if "not live" in line]
            assert "vendor/htmx.js, vendor/idiomorph.js" in said
            assert "make portal-files" in said
            gm.plant()
            enrolment = await gm.enrolled_user()
            async with Person(gm, tmp_path, enrolment.identity) as ada:
                await ada.sign_in()
                for address in ("/", "/appliances", "/account"):
                    page = await ada.open(address)
                    assert page.status_code == 200, page.text
                    assert "Pages do not keep themselves up to date" in page.text
                    assert "vendor" not in page.text

    asyncio.run(scenario())

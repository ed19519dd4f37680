"""The tree keeps its promises: sizes, names, lock file, no address of a package registry."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 500
VAGUE_NAMES = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


def test_modules_fit_on_a_few_screens() -> None:
    # Migrations are written by a program and read by none.
    modules = [path for path in tracked() if path.suffix == ".py" and path.parent.name != "versions"]
    long = {str(path.relative_to(ROOT)): text_of(path).count("\n") for path in modules}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_modules_are_named_for_what_they_are() -> None:
    assert [path for path in tracked() if path.name in VAGUE_NAMES] == []


def test_no_file_names_a_package_registry() -> None:
    hosts = re.compile(r"(pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org|--(extra-)?index-url [^$])")
    found = [path for path in tracked() if path != Path(__file__) and hosts.search(text_of(path))]
    assert found == []


def test_every_locked_requirement_is_pinned_and_hashed() -> None:
    lock = (ROOT / "requirements" / "dev.lock").read_text()
    requirements = re.split(r"\n(?=\S)", lock.strip())
    assert len(requirements) > 20
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+==\S+ ", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


@pytest.mark.parametrize(
    "package", ["gatelink/gatelink", "gm_server/gm_server", "firmware/sitemanager", "lm_client/lm_client"]
)
def test_every_module_says_what_it_is(package: str) -> None:
    silent = [path for path in (ROOT / package).rglob("*.py") if not text_of(path).lstrip().startswith(('"""', 'r"""'))]
    assert [path for path in silent if text_of(path).strip()] == []


def test_no_product_calls_a_shell() -> None:
    shell = re.compile(r"shell\s*=\s*True|os\.system\(|os\.popen\(|create_subprocess_shell")
    products = [path for path in tracked() if path.suffix == ".py" and "tests" not in path.parts]
    assert [path for path in products if shell.search(text_of(path))] == []


def test_make_help_names_the_commands_of_the_readme() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "lab", "test", "bench"):
        assert f"make {target}" in listed


def test_benchmarks_start() -> None:
    # As `make bench` starts them, in this folder, where folders have the names of packages.
    python = re.search(r"^PYTHON := env PYTHONPATH=tests (.+)$", text_of(ROOT / "Makefile"), re.MULTILINE)
    assert python is not None
    shown = subprocess.run(
        [*python[1].split(), "-m", "bench", "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "tests"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--rounds" in shown.stdout

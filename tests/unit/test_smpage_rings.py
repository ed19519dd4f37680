"""The set-up page knows the words of the local socket and nothing of the daemon: no rights, and little memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from unit.imports import among, imports_of

WEB = Path(__file__).parents[2] / "firmware" / "sitemanager" / "web"
TEXTS = sorted([*(WEB / "templates").iterdir(), *(WEB / "static").iterdir()])


@pytest.mark.parametrize("path", sorted(WEB.rglob("*.py")), ids=lambda path: path.stem)
def test_page_knows_the_words_alone(path: Path) -> None:
    imports = imports_of(path)
    assert not among(imports, ("sitemanager.services", "sitemanager.host", "sitemanager.config", "sitemanager.cli"))
    assert not among(imports, ("gatelink.link", "gatelink.identity", "gatelink.files", "subprocess", "cryptography"))


def test_page_process_is_without_cryptography_and_certificates_code() -> None:
    code = "import sys, sitemanager.web.server; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    for heavy in ("cryptography", "pyroute2", "pymodbus", "multiprocessing.pool", "sitemanager.services.daemon"):
        assert heavy not in loaded


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere_and_no_script_or_style_is_inline(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = set(re.findall(r"(?:https?:)?//[^\s\"'<>{}]+", text)) - {"http://www.w3.org/2000/svg"}
    assert {word for word in found if word.startswith(("http", "//"))} <= ({"https://"} | _comments(text)), path
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text)
        assert not re.search(r"\|\s*safe\b|autoescape", text)
        assert text.count('method="post"') == text.count('name="csrf"') or path.name == "login.html"
        for form in re.findall(r'<form method="post".*?</form>', text, re.DOTALL):
            assert 'name="csrf"' in form or path.name == "login.html"


def _comments(text: str) -> set[str]:
    """Line comments of a script look like addresses without a scheme."""
    return {word for word in re.findall(r"//[^\s\"'<>{}]+", text) if not word.startswith("///") and "." not in word}

"""Chromium with client certificates of its own: an NSS database in a home of its own, and, where the person's choice in
the dialog is to be made without a screen, the policy that makes it (AutoSelectCertificateForUrls).

The policy lies in /etc: Chromium runs in a mount namespace in which /etc/chromium is ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Playwright

from browser.conftest import ARGUMENTS, CHROMIUM

PASSWORD = "of the file"


def need_certutil() -> None:
    """Skip where NSS's tools are missing."""
    if shutil.which("pk12util") is None or shutil.which("certutil") is None:
        pytest.skip("certutil and pk12util are missing: tools/setup installs them (libnss3-tools)")


def make_home(home: Path, *files: bytes, trusted: bytes | None = None) -> Path:
    """Make a home whose Chromium holds these PKCS#12 files, and trusts a server's certificate (DER)."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    _run("certutil", "-d", f"sql:{store}", "-N", "--empty-password")
    for number, data in enumerate(files):
        file = home / f"{number}.p12"
        file.write_bytes(data)
        _run("pk12util", "-d", f"sql:{store}", "-i", str(file), "-W", PASSWORD)
    if trusted is not None:
        file = home / "server.der"
        file.write_bytes(trusted)
        _run("certutil", "-d", f"sql:{store}", "-A", "-n", "server", "-t", "P,,", "-i", str(file))
    return home


@contextlib.contextmanager
def chromium_at(
    playwright: Playwright, home: Path, url: str, *, chooses: bool, trust: bool = False
) -> Iterator[BrowserContext]:
    """Run Chromium with a home; ``chooses``: it takes the first certificate that fits without asking."""
    policies = home / "policies"
    (policies / "policies" / "managed").mkdir(parents=True, exist_ok=True)
    choice = json.dumps({"pattern": url, "filter": {}})
    policy = {"AutoSelectCertificateForUrls": [choice]} if chooses else {}
    (policies / "policies" / "managed" / "choice.json").write_text(json.dumps(policy))
    start = home / "chromium"
    rights = "-m" if os.geteuid() == 0 else "-Urm"
    start.write_text(
        "#!/bin/sh\n"
        f'exec unshare {rights} sh -c \'mount --bind {policies} /etc/chromium && exec {CHROMIUM} "$@"\' chromium "$@"\n'
    )
    start.chmod(0o755)
    context = playwright.chromium.launch_persistent_context(
        str(home / "profile"),
        executable_path=str(start),
        args=list(ARGUMENTS),
        ignore_https_errors=not trust,
        env={**os.environ, "HOME": str(home)},
    )
    try:
        yield context
    finally:
        context.close()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, (command[0], done.stdout, done.stderr)

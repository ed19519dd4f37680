"""Program: a technician hands an update over on the set-up page; prints what the page says of it, a line a change.

Usage: python -m qemu.page_visitor URL PASSWORD-OR-SECRET FILE [QUERY]; ends when it is over or the unit restarts.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import httpx

PASSWORD = "engine room 7"
_PATIENCE_S = 900.0


def main(url: str, word: str, path: str, query: str = "") -> int:
    """0 when the page took the file."""
    with httpx.Client(base_url=url, verify=False, timeout=1800.0, follow_redirects=True) as client:  # noqa: S501
        page = client.post("/login", data={"password": word})
        if "/password" in str(page.url):
            chosen = {"csrf": _between(page.text, 'name="csrf" value="'), "password": PASSWORD, "again": PASSWORD}
            page = client.post("/password", data=chosen)
        page = client.get("/firmware")
        token = _between(page.text, 'data-csrf="')
        say(f"page: {page.status_code}, token of {len(token)} characters")
        headers = {"content-type": "application/octet-stream", "x-csrf": token}
        begin = time.monotonic()
        answer = client.post(f"/firmware/bundle?{query}", content=Path(path).read_bytes(), headers=headers)
        say(f"upload: {answer.status_code} after {time.monotonic() - begin:.0f} s: {answer.text[:200]}")
        if answer.status_code != 200:
            return 1
        watch(client)
    return 0


def watch(client: httpx.Client) -> None:
    """Say how it goes until it is over, or nobody answers any more."""
    last = ""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            text = client.get("/firmware/live").text
        except httpx.HTTPError:
            say("the unit does not answer any more")
            return
        state = _between(text, 'data-update="')
        note = " ".join(re.sub(r"<[^>]*>", " ", text.partition("data-update")[2].partition(">")[2]).split())
        if f"{state}: {note}" != last:
            last = f"{state}: {note}"
            say(last)
        if state in ("good", "refused", "failed", "fell-back"):
            return
        time.sleep(1.0)


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _between(text: str, begin: str) -> str:
    return text.partition(begin)[2].partition('"')[0]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

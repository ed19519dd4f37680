"""The status page: one file of HTML with its style; the style's hash is what the content security policy allows."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f3f5f7; color: #1c2530; }
main { background: #fff; border: 1px solid #d5dbe1; border-radius: .5rem; padding: 2rem; margin: 1rem;
  max-width: 36rem; }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; overflow-wrap: anywhere; }
.runs { color: #1a6b3c; font-weight: 600; margin: 0 0 1.25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 0 0 1.25rem; }
dt { color: #55606c; }
dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; }
p:last-child { margin-bottom: 0; color: #55606c; font-size: .9rem; }
@media (prefers-color-scheme: dark) {
  body { background: #12171c; color: #e3e8ec; }
  main { background: #1b2229; border-color: #34404b; }
  .runs { color: #6fce97; }
  dt, p:last-child { color: #9aa6b1; }
}
"""
STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def status_page(name: str, version: str, serial: str, fingerprint: str) -> str:
    """Return the page; every value is escaped."""
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(name)} – Gatelink GateManager</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(name)}</h1>
<p class="runs">This GateManager is running.</p>
<dl>
<dt>Version</dt><dd>{escape(version)}</dd>
<dt>Appliance certificate</dt><dd><code>{escape(serial)}</code></dd>
<dt>Its key</dt><dd><code>{escape(fingerprint)}</code></dd>
</dl>
<p>SiteManagers and LinkManagers show the serial number and key of the GateManager that they met first. They should be
the ones above; get them over another way than this page when it matters.</p>
</main>
</body>
</html>
"""

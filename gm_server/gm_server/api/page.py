"""The description for people: one page, with the portal's style and no script."""

from __future__ import annotations

from html import escape

from .endpoints import Endpoint
from .openapi import BASE, by_tag


def page(stylesheet: str) -> str:
    """Return the page; ``stylesheet`` is an address on this server."""
    sections = "".join(
        f"<h2>{escape(tag)}</h2><table><thead><tr><th>Method</th><th>Address</th><th>What it does</th><th>Scope</th>"
        f"</tr></thead><tbody>{''.join(map(_row, endpoints))}</tbody></table>"
        for tag, endpoints in by_tag().items()
    )
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gatelink API</title>
<link rel="stylesheet" href="{escape(stylesheet)}">
</head>
<body>
<main class="prose">
<h1>Gatelink API</h1>
<p>Everything that administrators do in the portal, for programs. A token, made under “My account”, acts for you within
its scopes: <code>Authorization: Bearer glt_…</code></p>
<p>The exact description of every parameter, body and answer:
<a href="{BASE}/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
<pre><code>curl -H "Authorization: Bearer $TOKEN" https://…{BASE}/appliances?online=true</code></pre>
{sections}
</main>
</body>
</html>
"""


def _row(endpoint: Endpoint) -> str:
    cells = (f"<code>{endpoint.method}</code>", f"<code>{escape(BASE + endpoint.path)}</code>")
    texts = (escape(endpoint.summary), escape(endpoint.scope))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in (*cells, *texts)) + "</tr>"

"""Backup and restore of the configuration."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from sitemanager.core.local_requests import ConfigAnswer, ConfigRequest, TrialAnswer, TryTomlRequest
from sitemanager.web.daemon import NotDone
from sitemanager.web.visit import Visit


async def backup(visit: Visit) -> Response:
    """Show it, and try one that is given."""
    error = ""
    text = ""
    if visit.request.method == "POST":
        form = await visit.read()
        text = form.raw("toml")[: 64 * 1024]
        try:
            await visit.ask(TryTomlRequest(toml=text), TrialAnswer)
        except NotDone as refused:
            error = str(refused)
        else:
            return visit.go("/backup")
    config = await visit.ask(ConfigRequest(), ConfigAnswer)
    return await visit.page("backup.html", status=409 if error else 200, config=config, text=text, error=error)


async def download(visit: Visit) -> Response:
    """The configuration as a file; without passwords."""
    config = await visit.ask(ConfigRequest(), ConfigAnswer)
    name = 'attachment; filename="gatelink-configuration.toml"'
    return Response(config.toml, media_type="application/toml", headers={"content-disposition": name})


ROUTES: Final = (
    ("/backup", ["GET", "POST"], backup),
    ("/backup/gatelink-configuration.toml", ["GET"], download),
)

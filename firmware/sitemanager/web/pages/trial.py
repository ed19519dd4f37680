"""A change on trial: keep it, undo it, how long it goes on."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import JSONResponse, Response

from sitemanager.core.local_requests import (
    KeepTrialRequest,
    TrialAnswer,
    TrialRequest,
    TryConfigRequest,
    UndoTrialRequest,
)
from sitemanager.web.visit import Visit


async def try_values(visit: Visit, values: dict[str, Any], back: str) -> Response:
    """Try a change, and show it on the page from which it came. Raises NotDone."""
    answer = await visit.ask(TryConfigRequest(values=values), TrialAnswer)
    return visit.go(back if answer.state == "trying" else f"{back}?done=same")


async def trial(visit: Visit) -> Response:
    """How it goes, for the countdown."""
    answer = await visit.ask(TrialRequest(), TrialAnswer)
    return JSONResponse(
        {"state": answer.state, "left_s": answer.left_s, "needs_gm": answer.needs_gm, "text": answer.text}
    )


async def keep(visit: Visit) -> Response:
    """Keep it: that this arrives shows that the page can be reached."""
    form = await visit.read()
    await visit.ask(KeepTrialRequest(anyway=form.is_on("anyway")), TrialAnswer)
    return visit.go(_back(form.text("back")) + "?done=kept")


async def undo(visit: Visit) -> Response:
    """Go back at once."""
    form = await visit.read()
    await visit.ask(UndoTrialRequest(), TrialAnswer)
    return visit.go(_back(form.text("back")) + "?done=undone")


def _back(word: str) -> str:
    return f"/{word}" if word.isascii() and word.isalpha() else "/"


ROUTES: Final = (
    ("/trial", ["GET"], trial),
    ("/trial/keep", ["POST"], keep),
    ("/trial/undo", ["POST"], undo),
)

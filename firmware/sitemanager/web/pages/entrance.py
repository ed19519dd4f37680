"""Login, choosing a password, logout."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from sitemanager.core.local import DoneAnswer
from sitemanager.core.local_requests import (
    AboutAnswer,
    AboutRequest,
    ChoosePasswordRequest,
    LoginAnswer,
    LoginRequest,
    LogoutRequest,
    VisitAnswer,
    VisitRequest,
)
from sitemanager.web.daemon import NotDone
from sitemanager.web.visit import Visit


async def login(visit: Visit) -> Response:
    """Ask for the secret of the label, or the password."""
    about = await visit.ask(AboutRequest(), AboutAnswer)
    error = ""
    if visit.request.method == "POST":
        form = await visit.read(logged_in=False)
        try:
            answer = await visit.ask(LoginRequest(password=form.raw("password")[:256]), LoginAnswer)
        except NotDone as refused:
            error = str(refused)
        else:
            response = visit.go("/password" if answer.must_choose else "/")
            return visit.with_session(response, answer.session)
    return visit.plain("login.html", status=403 if error else 200, about=about, error=error)


async def password(visit: Visit) -> Response:
    """Choose a password: the first step on a new unit."""
    state = await visit.ask(VisitRequest(), VisitAnswer)
    if not state.logged_in and not state.must_choose:
        return visit.go("/login")
    error = ""
    if visit.request.method == "POST":
        form = await visit.read()
        if form.raw("password") != form.raw("again"):
            error = "the two new passwords are not the same"
        else:
            request = ChoosePasswordRequest(current=form.raw("current")[:256], password=form.raw("password")[:256])
            try:
                answer = await visit.ask(request, LoginAnswer)
            except NotDone as refused:
                error = str(refused)
            else:
                return visit.with_session(visit.go("/"), answer.session)
    return visit.plain("password.html", status=409 if error else 200, is_first=state.must_choose, error=error)


async def logout(visit: Visit) -> Response:
    """End the session."""
    await visit.read()
    await visit.ask(LogoutRequest(), DoneAnswer)
    return visit.with_session(visit.go("/login"), "")


ROUTES: Final = (
    ("/login", ["GET", "POST"], login),
    ("/password", ["GET", "POST"], password),
    ("/logout", ["POST"], logout),
)

"""The link in an approver's mail: a request is shown, and decided, without signing in.

The link names the approver and is sealed by the server; what it allows is judged by his roles as they are now. Opening
it decides nothing (mail programs open links by themselves): that takes the form behind it. It works once, because a
request that is decided stays decided.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gatelink.exceptions import GatelinkError
from gm_server.access.actors import Actor
from gm_server.access.roles import load_actor
from gm_server.accounts.throttle import Throttle
from gm_server.acts import requests as acts
from gm_server.acts.requests import RequestView, is_link_good
from gm_server.exceptions import NotFound
from gm_server.frontdoor.places import group_of

from .entrance import Entrance
from .forms import Form
from .visits import address_of, status_of

_FREE_PER_ADDRESS: Final = 20
"""Links that are not good, before an address has to wait: as many as wrong passwords."""
_NOT_GOOD: Final = "this link is not good (any more): sign in, and decide under Requests"
_DEEDS: Final = {"approve": acts.approve, "deny": acts.deny}


class Decision:
    """The page behind the link."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._portal = entrance.portal
        self._by_address = Throttle(_FREE_PER_ADDRESS)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/requests/{id}/decide", self._entrance.guarded(self.decide), methods=["GET", "POST"])]

    async def decide(self, request: Request, form: Form, secret: bytes) -> Response:
        """Show the request; decide it."""
        request_id = str(request.path_params["id"])
        user_id, token = request.query_params.get("by", ""), request.query_params.get("token", "")
        address, now = address_of(request), self._portal.clock()
        wait_s = self._by_address.wait_s(group_of(address), now)
        if wait_s > 0:
            text = f"too many links that are not good: try again in {wait_s + 0.5:.0f} s"
            return self._entrance.alone(request, "refused.html", secret, 429, error=text)
        letters = self._portal.letters()
        store = self._portal.store

        def approver(session: Session) -> Actor:
            actor = load_actor(session, user_id, "portal", address)
            if actor is None or not is_link_good(letters.seals, request_id, user_id, token, now):
                raise NotFound(_NOT_GOOD)
            return actor

        def look(session: Session) -> RequestView:
            return acts.get_request(session, approver(session), request_id)

        def act(session: Session) -> RequestView:
            return _DEEDS[form.text("deed")](session, approver(session), request_id, form.text("text"), letters, now)

        error = ""
        try:
            if request.method == "POST" and form.text("deed") in _DEEDS:
                one = await store.write(act)
            else:
                one = await store.read(look)
        except GatelinkError as failed:
            if isinstance(failed, NotFound):
                self._by_address.attempt(group_of(address), now)
            if request.method != "POST" or isinstance(failed, NotFound):
                return self._entrance.alone(request, "refused.html", secret, status_of(failed), error=str(failed))
            error, one = str(failed), await store.read(look)
        return self._entrance.alone(request, "decision.html", secret, 409 if error else 200, one=one, error=error)

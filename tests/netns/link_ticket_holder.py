"""Program: an LM of its own that tries tickets in every way that is not allowed, and tells how it fared.

    python -P -m netns.link_ticket_holder GM_ADDRESS APPLIANCE_ID LM_HOME PASSWORD SM_STATE BENT_GM

It speaks with the library alone, with the files of a real LM and of a real SM. One line of JSON: for each attempt
"joined", or what the GateManager refused it with.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import socket
import sys
from pathlib import Path
from typing import TypeVar

import msgspec

from gatelink.exceptions import LinkError, Refused
from gatelink.identity import Identity, from_pem, from_pkcs12
from gatelink.link.contact import connect_pinned
from gatelink.link.endpoints import Endpoint
from gatelink.link.leg import open_leg
from gatelink.messages import GM_TO_USER, Connect, Connected, Disconnect, Done, UserLogin, Welcome
from gatelink.pins import Pin
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_CONTROL, MAX_FRAME_BYTES

M = TypeVar("M")


class Holder:
    """A logged-in LM."""

    def __init__(self, conversation: Conversation, endpoint: Endpoint, pin: Pin, appliance_id: str) -> None:
        self._conversation = conversation
        self._endpoint = endpoint
        self._pin = pin
        self._appliance_id = appliance_id
        self._numbers = itertools.count(1)
        self._legs: list[socket.socket] = []

    async def log_in(self, password: str) -> None:
        """Become known to the GateManager."""
        route = self._endpoint.route
        await self._conversation.send(UserLogin(software="ticket holder", route=route, password=password))
        await self._receive(Welcome)

    async def connect(self) -> Connected:
        """Ask for a session."""
        await self._conversation.send(Connect(request_id=next(self._numbers), appliance_id=self._appliance_id))
        return await self._receive(Connected)

    async def disconnect(self, session: Connected) -> None:
        """End it."""
        number = next(self._numbers)
        await self._conversation.send(Disconnect(request_id=number, session_id=session.session_id))
        await self._receive(Done)

    async def present(self, ticket: bytes, identity: Identity) -> str:
        """Present a ticket; what came of it."""
        try:
            leg = await open_leg(self._endpoint, self._pin, identity, ticket)
        except Refused as error:
            return f"{error.code}: {error}"
        except LinkError as error:
            return f"not refused: {error}"
        self._legs.append(leg)
        return "joined"

    def let_go(self) -> None:
        """Close the legs that were opened; until then their sessions live."""
        while self._legs:
            self._legs.pop().close()

    async def _receive(self, kind: type[M]) -> M:
        while True:
            message = await self._conversation.receive(GM_TO_USER)
            if isinstance(message, kind):
                return message


async def attempts(arguments: list[str]) -> dict[str, str]:
    """Try everything."""
    address, appliance_id, lm_home, password, sm_state, bent = arguments
    profile = json.loads((Path(lm_home) / "profile.json").read_bytes())
    pin = Pin(msgspec.convert(profile["pin_certificate"], bytes), "fingerprint")
    lm = from_pkcs12((Path(lm_home) / "identity.p12").read_bytes(), password)
    sm = from_pem((Path(sm_state) / "identity.pem").read_bytes())
    endpoint = Endpoint(address, 443)
    contact = await connect_pinned(endpoint, pin, ALPN_CONTROL, lm)
    holder = Holder(Conversation(contact.tls, MAX_FRAME_BYTES), endpoint, pin, appliance_id)
    await holder.log_in(password)
    found: dict[str, str] = {}

    found["made up"] = await holder.present(secrets.token_bytes(32), lm)

    session = await holder.connect()
    found["LM's by SM"] = await holder.present(session.ticket, sm)
    sm_ticket = (Path(bent) / "tickets").read_bytes()[-32:]
    found["SM's by LM"] = await holder.present(sm_ticket, lm)
    found["LM's by LM, after SM tried"] = await holder.present(session.ticket, lm)
    found["used, by LM"] = await holder.present(session.ticket, lm)
    found["used, by SM"] = await holder.present(sm_ticket, sm)
    holder.let_go()

    session = await holder.connect()
    await holder.disconnect(session)
    found["of an ended session"] = await holder.present(session.ticket, lm)

    session = await holder.connect()
    offset = Path(bent) / "clock_offset_s"
    offset.write_text("31")
    found["expired"] = await holder.present(session.ticket, lm)
    offset.write_text("0")
    await holder.disconnect(session)

    contact.close()
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(attempts(sys.argv[1:]))) + "\n")

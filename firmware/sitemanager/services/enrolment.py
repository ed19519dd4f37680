"""Enrols this unit: redeems a claim, or asks for a place among the waiting appliances until somebody adopts it.

The key is made and synced first, the result is written identity last: killed at any moment, the same command goes on
where it was, and the GateManager gives the same key the same certificate.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gatelink.backoff import Backoff
from gatelink.claims import Claim
from gatelink.exceptions import LinkError, ProtocolError, Refused, TrustError
from gatelink.link.dial import race
from gatelink.link.endpoints import Endpoint, check_address, endpoints
from gatelink.link.enrolment import Enrolment, ask_for_place, enrol
from gatelink.messages import EnrolWaiting
from gatelink.pins import Pin
from sitemanager import __version__
from sitemanager.config import Config
from sitemanager.exceptions import DaemonError
from sitemanager.host.config_store import load, save
from sitemanager.host.lock import RemoteAccessLock
from sitemanager.host.state import Known, State, Waiting

SOFTWARE: Final = f"sitemanager {__version__}"
LONGEST_WAIT_S: Final = 300.0
"""Between two questions whether we are adopted, whatever the GateManager asks for."""


class _Place(msgspec.Struct):
    """An answer to ``ask_for_place``, as ``race`` wants it."""

    pin: Pin
    answer: Enrolment | EnrolWaiting

    def close(self) -> None:
        """Nothing is open."""


async def redeem(state: State, config: Config, claim: Claim) -> Enrolment:
    """Redeem a claim and keep the result.

    Raises TrustError (nothing secret was sent), Refused, LinkError, StateError.
    """
    key = state.key()
    ways = _ways(config, claim.addresses)
    enrolment, _ = await race(ways, lambda way: enrol(way, claim, key, SOFTWARE))
    _keep(state, config, claim.addresses, enrolment)
    return enrolment


async def ask(state: State, config: Config, addresses: Sequence[str], report: Callable[[str], None]) -> float | None:
    """Ask once for a place; lock to the GateManager at the first contact. Returns when to ask again, None when adopted.

    Raises PinMismatch, Refused, LinkError, StateError.
    """
    key = state.key()
    pin = state.pin()
    waiting = Waiting(tuple(addresses))
    if state.waiting() != waiting:
        state.save_waiting(waiting)

    async def attempt(way: Endpoint) -> _Place:
        return _Place(*await ask_for_place(way, pin, key, SOFTWARE))

    place, way = await race(_ways(config, addresses), attempt)
    if place.pin != pin:
        state.save_pin(place.pin)
        report(
            f"first contact without a claim: took the GateManager at {way} as it presented itself and locked to it, "
            f"{place.pin.describe()}; compare the serial with the one that the GateManager's operator sees"
            if pin is None
            else f"the GateManager proved a new certificate: {place.pin.describe()}"
        )
    if isinstance(place.answer, Enrolment):
        _keep(state, config, addresses, place.answer)
        return None
    report(f"waiting to be adopted as {place.answer.waiting_id}; ask the GateManager's administrator")
    return min(max(place.answer.retry_s, 1.0), LONGEST_WAIT_S)


async def wait_for_adoption(state: State, config: Config, report: Callable[[str], None]) -> None:
    """Ask until adopted, whatever stands in between meanwhile: nobody is here to start it again. Raises StateError."""
    backoff = Backoff(random.uniform, longest_s=config.backoff_longest_s)
    waiting = state.waiting()
    if waiting is None:
        raise DaemonError("this unit waits for nobody; enrol it with sm enrol --claim or sm enrol --gm")
    while True:
        try:
            delay_s = await ask(state, config, waiting.addresses, report)
            if delay_s is None:
                return
            backoff.reset()
        except (TrustError, Refused, LinkError, ProtocolError) as error:
            delay_s = backoff.next_delay_s()
            report(f"cannot ask the GateManager: {error}; next attempt in {delay_s:.0f} s")
        await asyncio.sleep(delay_s)


def _ways(config: Config, addresses: Sequence[str]) -> tuple[Endpoint, ...]:
    for address in addresses:
        check_address(address)
    return endpoints(addresses, config.ports, [entry.proxy for entry in config.proxies])


def _keep(state: State, config: Config, addresses: Sequence[str], enrolment: Enrolment) -> None:
    """Addresses and lock first, for they mean nothing until there is an identity."""
    if config.gm_addresses != tuple(addresses):
        # On what is written: a change that is on trial meanwhile is not kept by this.
        save(state.directory, msgspec.structs.replace(load(state.directory), gm_addresses=tuple(addresses)))
    RemoteAccessLock(state.directory).allow_if_new()
    known = Known(peer_id=enrolment.peer_id, name=enrolment.name, domain=enrolment.domain)
    state.enrolled(enrolment.pin, enrolment.identity, known)

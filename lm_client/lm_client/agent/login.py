"""Before the control connection: whom to trust, and, where the user has no certificate file, one for some hours."""

from __future__ import annotations

import time

import msgspec

from gatelink.exceptions import LinkError, PinMismatch
from gatelink.identity import Identity, key_sha256, new_key, serial_text
from gatelink.link.contact import ask_hello
from gatelink.link.dial import race
from gatelink.link.endpoints import Endpoint, Proxy
from gatelink.link.login import Prompt, password_login
from gatelink.messages import LoginAnswer, LoginChallenge, LoginResend, PinAlarm
from gatelink.pins import Pin
from lm_client.config import Config
from lm_client.home import Home, Profile
from lm_client.journal import Journal

from .alarms import AlarmBook
from .gatemanager import SOFTWARE, ways_of


def ways_to(profile: Profile, config: Config) -> tuple[Endpoint, ...]:
    """Return the ways to the GateManager, best first."""
    link = config.link
    proxies = tuple(Proxy(proxy.host, proxy.port, proxy.username, proxy.password) for proxy in link.proxies)
    return ways_of(profile, link.ports, proxies)


async def pin_of(home: Home, profile: Profile, config: Config, journal: Journal) -> tuple[Pin, bool]:
    """Return the pin, and whether it was taken on trust just now: it is kept before anything secret is sent."""
    if profile.pin_certificate:
        return Pin(profile.pin_certificate, profile.pin_how), False
    met, way = await race(ways_to(profile, config), _meet, config.link.stagger_s)
    home.save_profile(msgspec.structs.replace(profile, pin_certificate=met.pin.certificate))
    journal.note(f"first contact by {way}: locked to {met.pin.describe()}")
    return met.pin, True


async def identity_by_password(
    home: Home, profile: Profile, config: Config, pin: Pin, password: str, prompt: Prompt, alarms: AlarmBook
) -> tuple[Identity, Pin]:
    """Log in without a certificate file; key and certificate are in memory alone. Raises GatelinkError."""
    ways = ways_to(profile, config)
    try:
        enrolment = await password_login(
            ways, pin, profile.user, password, new_key(), SOFTWARE, prompt, config.link.stagger_s
        )
    except PinMismatch as error:
        alarms.keep([_alarm(ways[0], error.presented)])
        raise
    if enrolment.pin != pin:
        changed = msgspec.structs.replace(
            home.profile(), pin_certificate=enrolment.pin.certificate, pin_how=enrolment.pin.how
        )
        home.save_profile(changed)
    return enrolment.identity, enrolment.pin


async def refuse_to_answer(challenge: LoginChallenge) -> LoginAnswer | LoginResend:
    """Stand in for a person where there is none."""
    raise LinkError(f"the GateManager asks for a code, and nobody is there to type it: {challenge.text}")


class _Met(msgspec.Struct, frozen=True):
    """Who answered the first contact."""

    pin: Pin

    def close(self) -> None:
        """Nothing is open any more; here so that ``race`` can hold it."""


async def _meet(way: Endpoint) -> _Met:
    hello, certificate = await ask_hello(way)
    if hello is None:
        raise LinkError(f"{way} answers, but not as a GateManager")
    return _Met(Pin(certificate, "first-use"))


def _alarm(way: Endpoint, presented: bytes) -> PinAlarm:
    return PinAlarm(way.route, serial_text(presented)[:64], key_sha256(presented), time.time())

"""Makes a PC a user's: by an invitation, with a key that is made here, or with a certificate file that was delivered.

An invitation can be redeemed only once, but with the same key again: the key is on disk, under the password, before the
GateManager is asked. Whoever is interrupted redeems again, with the same password.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization

from gatelink.claims import Claim, parse_claim
from gatelink.exceptions import InputError
from gatelink.identity import PrivateKey, new_key, to_pkcs12
from gatelink.link.dial import race
from gatelink.link.endpoints import Proxy, check_address, endpoints
from gatelink.link.enrolment import Enrolment, enrol
from gatelink.pins import Pin

from . import __version__
from .config import Config, load
from .home import Home, Profile

MIN_PASSWORD_CHARACTERS: Final = 10
MAX_PASSWORD_CHARACTERS: Final = 256
MAX_INVITATION_CHARACTERS: Final = 4608
"""With a link before it."""
MAX_FILE_BYTES: Final = 64 * 1024
_STAGGER_S: Final = 30.0
"""Above the length of an enrolment: an invitation is redeemed on one way after the other, never on two at once."""


def parse_invitation(text: str) -> Claim:
    """Read an invitation, or the portal's link that ends in one (``.../invitation#gli1_...``). Raises InputError."""
    word = "".join(text.split())
    link, _, end = word.rpartition("#")
    return parse_claim(end if link.startswith(("https://", "http://")) else word, "user")


def check_new_password(password: str) -> None:
    """Raise InputError for a password that is too short, or longer than the GateManager takes."""
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        bounds = f"{MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS}"
        raise InputError(f"the password has {len(password)} characters; expected {bounds}")


def redeem(home: Home, claim: Claim, password: str) -> tuple[Profile, Pin]:
    """Return who the user is now and how the GateManager was verified. Raises GatelinkError; then nothing changed."""
    config = load(home)
    for address in claim.addresses:
        check_address(address)
    pending = home.pending_path(claim.claim_id)
    key = _pending_key(home, pending, password)
    enrolment = asyncio.run(_enrol(config, claim, key, password))
    profile = Profile(
        user=enrolment.name,
        domain=enrolment.domain,
        addresses=claim.addresses,
        pin_certificate=enrolment.pin.certificate,
        pin_how=enrolment.pin.how,
    )
    _keep(home, to_pkcs12(enrolment.identity, enrolment.name, password), profile)
    pending.unlink(missing_ok=True)
    return profile, enrolment.pin


def import_file(home: Home, file: Path, addresses: Sequence[str]) -> None:
    """Keep a PKCS#12 file; its password is asked for at login. Raises InputError."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    import_data(home, data, addresses, str(file))


def import_data(home: Home, data: bytes, addresses: Sequence[str], what: str) -> None:
    """Keep what a PKCS#12 file holds; ``what`` names it to people. Raises InputError."""
    checked = tuple(check_address(address) for address in addresses)
    if len(data) > MAX_FILE_BYTES or not data.startswith(b"\x30"):
        raise InputError(f"{what} is no certificate file (PKCS#12, .p12): ask your administrator for a new one")
    _keep(home, data, Profile(user="", addresses=checked))


def check_free(home: Home, instead: str) -> None:
    """Raise InputError if the home is somebody's already; ``instead`` says what to do."""
    home.ensure()
    if home.read(home.profile_path) is not None:
        user = home.profile().user or "an imported certificate"
        raise InputError(f"{home.path} belongs to {user} already: {instead}")


async def _enrol(config: Config, claim: Claim, key: PrivateKey, password: str) -> Enrolment:
    link = config.link
    proxies = tuple(Proxy(proxy.host, proxy.port, proxy.username, proxy.password) for proxy in link.proxies)
    ways = endpoints(claim.addresses, link.ports, proxies)
    software = f"lm {__version__}"
    found, _ = await race(ways, lambda way: enrol(way, claim, key, software, password), _STAGGER_S)
    return found


def _pending_key(home: Home, path: Path, password: str) -> PrivateKey:
    """Return the key of an interrupted attempt, or a new one that is on disk when this returns."""
    if (data := home.read(path)) is not None:
        try:
            key = serialization.load_pem_private_key(data, password.encode())
        except ValueError:
            raise InputError(
                "this invitation was begun to be redeemed here with another password: use the one chosen then"
            ) from None
        if isinstance(key, PrivateKey):
            return key
    key = new_key()
    protection = serialization.BestAvailableEncryption(password.encode())
    form = serialization.PrivateFormat.PKCS8
    home.write(path, key.private_bytes(serialization.Encoding.PEM, form, protection))
    return key


def _keep(home: Home, identity: bytes, profile: Profile) -> None:
    """The profile goes first and comes last: at no moment is one user's key beside another one's profile."""
    with contextlib.suppress(FileNotFoundError):
        home.profile_path.unlink()
        home.known_path.unlink(missing_ok=True)
    home.write(home.identity_path, identity)
    home.save_profile(profile)

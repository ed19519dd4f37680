"""Logs people in, whatever the way: password and certificate together, then a second factor where one is asked for.

    begin   -> an attempt: done, or waiting for a second factor
    answer  -> a code for it         resend -> another text message       passed -> whether it still holds, recorded

Whatever is wrong with name, password or certificate is answered with the same words after the same work. Guessing is
slowed for each account and each address; who has logged in from a place before has a count of his own there, so that
somebody else's guessing cannot keep him out. Without an answer of the database or the text message's provider nobody
gets in.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
import unicodedata
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from sqlalchemy.orm import Session

from gatelink.exceptions import GatelinkError, Refused
from gm_server.access.actors import Actor, Via
from gm_server.audit.events import Event
from gm_server.audit.log import Detail, Result, Subject, record
from gm_server.audit.repeats import Repeats
from gm_server.database.store import Store
from gm_server.database.tables import User

from .attempts import CODE_DIGITS, Attempt, Attempts, FactorKind, Person, SendingLimits, kinds_asked
from .factors import use_recovery_code, use_totp
from .issuing import LOGIN_OVER
from .methods import needs_certificate
from .passwords import PasswordPool
from .people import KnownCertificate, find_certificate, note_used, person_by_id, person_by_name
from .seals import Seals
from .throttle import Throttle

FREE_ATTEMPTS: Final = 3
"""Of an account or a certificate, before guessing costs time. A stolen certificate slows nobody else down."""
FREE_ATTEMPTS_OF_ADDRESS: Final = 20
FREE_FACTORS: Final = 3
LONGEST_FACTOR_WAIT_S: Final = 600.0
"""Who guesses codes knows the password: he is slowed more."""
MAX_WARNINGS_PER_HOUR: Final = 60
"""Entries about names that nobody has: strangers do not fill the log."""
REPEAT_S: Final = 300.0
"""A LinkManager on a bad line that comes back from the same place is not recorded each time."""
RESUME_S: Final = 12 * 3600.0
DEVICE_S: Final = 90 * 86400.0
SEND_WAIT_S: Final = 5.0
"""So long an answer waits to be able to say whether the message went out."""
_MAX_KNOWN_PLACES: Final = 4096
_NONCE_BYTES: Final = 16
_log = logging.getLogger("gm.login")


class TextSender(Protocol):
    """Sends text messages."""

    async def send(self, recipient: str, text: str, valid_s: float, /) -> None:
        """Return when a provider has taken the message; raises GatelinkError if none does."""


class Knock(msgspec.Struct, frozen=True):
    """What somebody says who wants in, and what is known of him without his saying."""

    password: str
    via: Via
    address: str
    group: str
    """What counts as one address (``frontdoor.places.group_of``)."""
    name: str | None = None
    """None: who it is follows from the certificate alone."""
    certificate_sha256: bytes | None = None
    """Of the certificate that TLS proved."""
    resume: bytes = b""
    device: bytes = b""
    """What ``device_word`` gave this browser at an earlier login."""


class Logins:
    """``clock`` is Unix time."""

    def __init__(
        self, store: Store, passwords: PasswordPool, seals: Seals, sender: TextSender, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._seals = seals
        self._sender = sender
        self._clock = clock
        self._by_account = Throttle(FREE_ATTEMPTS)
        self._by_address = Throttle(FREE_ATTEMPTS_OF_ADDRESS)
        self._by_factor = Throttle(FREE_FACTORS, longest_s=LONGEST_FACTOR_WAIT_S)
        self._unknown = Throttle(MAX_WARNINGS_PER_HOUR, max_keys=1)
        self._sending = SendingLimits()
        self._comings = Repeats(REPEAT_S)
        self._known_places: dict[tuple[str, str], None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.attempts = Attempts()

    # -- password and certificate -------------------------------------------------------------------------------------

    async def begin(self, knock: Knock) -> Attempt:
        """Return an attempt; raises Refused (``login``, ``try-later``, ``busy``), DatabaseError."""
        now = self._clock()
        certificate = await self._certificate(knock, now)
        if knock.name is None and certificate is not None and certificate.is_over:
            raise Refused("login", LOGIN_OVER)
        person = await self._person(knock, certificate)
        key, is_known = self._throttle_key(knock, person, now)
        wait_s = max(self._by_account.wait_s(key, now), 0.0 if is_known else self._by_address.wait_s(knock.group, now))
        if wait_s > 0:
            raise Refused("try-later", f"too many logins failed: try again in {wait_s + 0.5:.0f} s")
        if self._passwords.is_full:
            raise Refused("busy", "too many logins at the same time: try again in a moment")
        self._by_account.attempt(key, now)
        self._by_address.attempt(knock.group, now)
        allowed = person is not None and _is_allowed(knock, person, certificate)
        known_hash = person.password_hash if person is not None and allowed else None
        if not await self._passwords.verify(knock.password, known_hash) or person is None:
            await self._note_failed(knock, person, "password or certificate", now)
            raise Refused("login", _refusal(knock))
        self._by_account.forget(key)
        # An address may be many people's: one who knows his password does not make up for another who guesses.
        self._by_address.take_back(knock.group)
        own = certificate is not None and certificate.user_id == person.user_id and certificate.is_good
        return await self._after_password(knock, person, certificate if own else None, key, now)

    async def _after_password(
        self, knock: Knock, person: Person, certificate: KnownCertificate | None, key: str, now: float
    ) -> Attempt:
        resumes = certificate is not None and self._resumes(knock.resume, person, certificate.digest, now)
        proved_before = resumes or (certificate is not None and certificate.is_of_login)
        kinds = () if proved_before else kinds_asked(person, in_browser=knock.via == "portal")
        if kinds is None:
            await self._note_failed(knock, person, "no second factor is set up", now)
            text = "a second factor is asked of you and none is set up: ask your administrator to enter your phone"
            raise Refused("no-factor", text)
        attempt = Attempt(person, kinds, certificate.digest if certificate else None, knock.address, key, now)
        if resumes:
            attempt.resumed = knock.resume
        if kinds:
            wait_s = self._by_factor.wait_s(key, now)
            if wait_s > 0:
                raise Refused("try-later", f"too many codes were wrong: try again in {wait_s + 0.5:.0f} s")
            attempt.text = _what_is_asked(attempt)
            if kinds[0] == "sms":
                await self.send_text(attempt, knock.via)
        return attempt

    async def _certificate(self, knock: Knock, now: float) -> KnownCertificate | None:
        if knock.certificate_sha256 is None:
            return None
        return await self._store.read(find_certificate, knock.certificate_sha256, now)

    async def _person(self, knock: Knock, certificate: KnownCertificate | None) -> Person | None:
        if knock.name is not None:
            return await self._store.read(person_by_name, unicodedata.normalize("NFC", knock.name.strip()))
        return None if certificate is None else await self._store.read(person_by_id, certificate.user_id)

    def _throttle_key(self, knock: Knock, person: Person | None, now: float) -> tuple[str, bool]:
        """Return by what failures are counted, and whether it is a place from which he logged in before."""
        if knock.name is None:
            return (knock.certificate_sha256 or b"").hex(), False
        account = hashlib.sha256(unicodedata.normalize("NFKC", knock.name.strip()).casefold().encode()).hexdigest()
        if person is not None:
            nonce, seal = knock.device[:_NONCE_BYTES], knock.device[_NONCE_BYTES:]
            if self._seals.is_good(seal, "device", person.user_id, nonce, now):
                return f"{account} {nonce.hex()}", True
            if (person.user_id, knock.group) in self._known_places:
                return f"{account} {knock.group}", True
        return account, False

    def _resumes(self, resume: bytes, person: Person, digest: bytes, now: float) -> bool:
        return self._seals.is_good(resume, "resume", person.user_id, _bound_to(person, digest), now)

    # -- the second factor --------------------------------------------------------------------------------------------

    async def answer(self, attempt: Attempt, kind: FactorKind, code: str, via: Via) -> bool:
        """Say whether the code is right; raises Refused when it was the last try."""
        now = self._clock()
        self._count_try(attempt, kind, now)
        match kind:
            case "sms":
                right = attempt.is_sent_code(code, now)
            case "totp":
                right = await self._store.note(use_totp, attempt.person.user_id, code, now)
            case "recovery":
                right = await self._store.note(use_recovery_code, attempt.person.user_id, code, now)
            case "passkey":
                right = False
        return await self._judge(attempt, kind, via, now, right=right)

    async def answer_passkey(
        self, attempt: Attempt, via: Via, check: Callable[[Session, str, bytes, float], bool]
    ) -> bool:
        """As ``answer``; ``check`` gets the user's id and the challenge, which is used up."""
        now = self._clock()
        self._count_try(attempt, "passkey", now)
        challenge, attempt.passkey_challenge = attempt.passkey_challenge, b""
        right = bool(challenge) and await self._store.note(check, attempt.person.user_id, challenge, now)
        return await self._judge(attempt, "passkey", via, now, right=right)

    def _count_try(self, attempt: Attempt, kind: FactorKind, now: float) -> None:
        if attempt.is_over(now) or kind not in attempt.kinds:
            raise Refused("login", "the login took too long: begin again")
        wait_s = self._by_factor.wait_s(attempt.throttle_key, now)
        if wait_s > 0 and attempt.tries_left == 1:
            raise Refused("try-later", f"too many codes were wrong: try again in {wait_s + 0.5:.0f} s")
        attempt.count_try()

    async def _judge(self, attempt: Attempt, kind: FactorKind, via: Via, now: float, *, right: bool) -> bool:
        if right:
            attempt.succeed(kind)
            self._by_factor.forget(attempt.throttle_key)
            return True
        await self._note(attempt, via, Event.LOGIN_FAILED, "refused", now, step="second factor", kind=kind)
        if attempt.is_over(now):
            self._by_factor.attempt(attempt.throttle_key, now)
            raise Refused("login", "the code was wrong too many times: begin again")
        attempt.text = f"the code was wrong; {attempt.tries_left} tries are left"
        return False

    async def send_text(self, attempt: Attempt, via: Via) -> None:
        """Send (another) text message; ``attempt.text`` says what became of it."""
        now, person = self._clock(), attempt.person
        if not attempt.may_send(now):
            attempt.text = f"another message can be sent in {attempt.resend_after_s(now):.0f} s"
            return
        if not self._sending.may_send(person.user_id, now):
            attempt.text = "too many messages were sent to you: try again in a quarter of an hour"
            return
        self._sending.sent(person.user_id, now)
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        attempt.sends_code(code, now)
        attempt.text = f"a code is on its way to the phone that ends in {person.phone[-2:]}"
        sending = asyncio.create_task(self._send(attempt, code, via))
        self._tasks.add(sending)
        sending.add_done_callback(self._tasks.discard)
        await asyncio.wait({sending}, timeout=SEND_WAIT_S)

    async def _send(self, attempt: Attempt, code: str, via: Via) -> None:
        try:
            await self._sender.send(attempt.person.phone, f"Gatelink: {code} is your code to log in.", 300.0)
        except GatelinkError as error:
            _log.warning("no text message to %s: %s", attempt.person.name, error)
            attempt.text = "the text message could not be sent: try again, or ask your administrator"
            attempt.resend_at = self._clock()
            event, reason = Event.MESSAGE_FAILED, str(error)[:200]
        else:
            event, reason = Event.FACTOR_SENT, ""
        with contextlib.suppress(GatelinkError):
            await self._note(
                attempt, via, event, "failed" if reason else "done", self._clock(), kind="sms", reason=reason
            )

    # -- the end ------------------------------------------------------------------------------------------------------

    def passed(self, session: Session, attempt: Attempt, by: Actor, now: float, **details: Detail) -> None:
        """Record the login in the transaction that lets him in; raises Refused if he may not any more."""
        person = person_by_id(session, attempt.person.user_id)
        certificate = None
        if attempt.certificate_sha256 is not None:
            certificate = find_certificate(session, attempt.certificate_sha256, now)
        gone = attempt.certificate_sha256 is not None and (certificate is None or not certificate.is_good)
        same = person is not None and person.password_hash == attempt.person.password_hash and person.is_good
        if person is None or not same or gone or not attempt.is_done:
            raise Refused("login", "this account cannot log in any more: ask your administrator")
        session.get_one(User, person.user_id).last_login_at = now
        if attempt.certificate_sha256 is not None:
            note_used(session, attempt.certificate_sha256, now)
        factor = attempt.proved or ""
        subject = Subject(person.user_id, person.name, person.domain)
        digest = (attempt.certificate_sha256 or b"").hex()
        if by.via == "lm" and not self._comings.is_new(f"{person.user_id} {digest} {attempt.address}", now):
            return
        record(session, by, Event.LOGIN, subject, now, method=person.method, factor=factor, **details)

    def remember_place(self, attempt: Attempt, group: str) -> None:
        """From here he has logged in: he has a count of his own here."""
        self._known_places.pop((attempt.person.user_id, group), None)
        if len(self._known_places) >= _MAX_KNOWN_PLACES:
            del self._known_places[next(iter(self._known_places))]
        self._known_places[attempt.person.user_id, group] = None

    def resume_word(self, attempt: Attempt) -> bytes:
        """Return what the LM says at its next login instead of a second factor; empty where none is asked for.

        After a login by such a word it is the same: after ``RESUME_S`` the person is asked again.
        """
        if attempt.resumed:
            return attempt.resumed
        if not attempt.kinds or attempt.certificate_sha256 is None:
            return b""
        bound = _bound_to(attempt.person, attempt.certificate_sha256)
        return self._seals.make("resume", attempt.person.user_id, bound, self._clock() + RESUME_S)

    def device_word(self, user_id: str) -> bytes:
        """Return what a browser keeps, to be known again at its next login."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._seals.make("device", user_id, nonce, self._clock() + DEVICE_S)

    async def close(self) -> None:
        """Give up messages that are still being sent."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- the log ------------------------------------------------------------------------------------------------------

    async def _note_failed(self, knock: Knock, person: Person | None, step: str, now: float) -> None:
        """Record a failure. What was typed as a name is not kept: people type passwords there."""
        who = person.name if person else "nobody"
        _log.warning("login refused from %s (account of %s): %s", knock.address, who, step)
        if person is None:
            if self._unknown.wait_s("", now) > 0:
                return
            self._unknown.attempt("", now)
        by = Actor(person.user_id if person else "", who if person else "", (), knock.via, knock.address)
        subject = Subject(person.user_id, person.name, person.domain) if person else Subject()
        await self._store.note(record, by, Event.LOGIN_FAILED, subject, now, "refused", step=step)

    async def _note(
        self, attempt: Attempt, via: Via, event: Event, result: Result, now: float, **details: Detail
    ) -> None:
        person = attempt.person
        by = Actor(person.user_id, person.name, (), via, attempt.address)
        subject = Subject(person.user_id, person.name, person.domain)

        def write(session: Session) -> None:
            record(session, by, event, subject, now, result, **details)

        await self._store.note(write)


def _is_allowed(knock: Knock, person: Person, certificate: KnownCertificate | None) -> bool:
    """Whether this person may log in so, the password apart."""
    if not person.is_good:
        return False
    if certificate is None:
        return knock.certificate_sha256 is None and not needs_certificate(person.method)
    if certificate.user_id != person.user_id or not certificate.is_good:
        # In a browser somebody else's certificate may lie about: it counts as none.
        return knock.name is not None and not needs_certificate(person.method)
    return not (certificate.is_of_login and needs_certificate(person.method))


def _refusal(knock: Knock) -> str:
    if knock.name is None:
        return "the password is wrong, or this account cannot log in"
    return "the name or the password is wrong, or this account needs its certificate to log in here"


def _bound_to(person: Person, digest: bytes) -> bytes:
    return digest + hashlib.sha256((person.password_hash or "").encode()).digest()


def _what_is_asked(attempt: Attempt) -> str:
    match attempt.kinds[0]:
        case "passkey":
            return "confirm with your passkey"
        case "totp":
            return "enter the code that your authenticator app shows"
        case "recovery":
            return "enter one of your recovery codes"
        case "sms":
            return "a code is sent to your phone"

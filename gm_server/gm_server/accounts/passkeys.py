"""Passkeys (WebAuthn level 2) as a second factor in the browser, by py_webauthn.

Nothing is asked of the authenticator's maker (attestation ``none``), and no PIN of it beyond what it asks by itself:
the password came first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import webauthn
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gatelink.exceptions import InputError
from gm_server.database.tables import Passkey
from gm_server.exceptions import Conflict
from gm_server.ids import new_id
from gm_server.names import check_text

MAX_PASSKEYS: Final = 16
TIMEOUT_MS: Final = 120_000
_MAX_ANSWER_CHARACTERS: Final = 16 * 1024


def list_passkeys(session: Session, user_id: str) -> Sequence[Passkey]:
    """Return a user's passkeys."""
    return session.scalars(select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.created_at)).all()


def registration_options(session: Session, user_id: str, name: str, host: str, issuer: str, challenge: bytes) -> str:
    """Return what the browser needs to make a passkey, as JSON."""
    known = [PublicKeyCredentialDescriptor(id=key.credential_id) for key in list_passkeys(session, user_id)]
    options = webauthn.generate_registration_options(
        rp_id=host,
        rp_name=issuer,
        user_name=name,
        user_id=user_id.encode(),
        challenge=challenge,
        timeout=TIMEOUT_MS,
        exclude_credentials=known,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return webauthn.options_to_json(options)


def add_passkey(
    session: Session, user_id: str, name: str, answer: str, challenge: bytes, host: str, origin: str, now: float
) -> Passkey:
    """Keep a passkey that the browser made; raises InputError, Conflict."""
    count = session.scalar(select(func.count()).select_from(Passkey).where(Passkey.user_id == user_id)) or 0
    if count >= MAX_PASSKEYS:
        raise Conflict(f"there are {count} passkeys already: remove one first")
    name = check_text(name.strip(), "the name of the passkey", 64) or "passkey"
    try:
        made = webauthn.verify_registration_response(
            credential=answer[:_MAX_ANSWER_CHARACTERS],
            expected_challenge=challenge,
            expected_rp_id=host,
            expected_origin=origin,
        )
    except (WebAuthnException, ValueError):
        raise InputError("the browser did not make a passkey for this page: try again") from None
    if session.scalar(select(Passkey.id).where(Passkey.credential_id == made.credential_id)) is not None:
        raise Conflict("this passkey is known already")
    passkey = Passkey(
        id=new_id("pky"),
        user_id=user_id,
        name=name,
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        created_at=now,
    )
    session.add(passkey)
    session.flush()
    return passkey


def login_options(session: Session, user_id: str, host: str, challenge: bytes) -> str:
    """Return what the browser needs to use one of the user's passkeys, as JSON."""
    options = webauthn.generate_authentication_options(
        rp_id=host,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        allow_credentials=[
            PublicKeyCredentialDescriptor(id=key.credential_id) for key in list_passkeys(session, user_id)
        ],
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return webauthn.options_to_json(options)


def login_check(answer: str, host: str, origin: str) -> Callable[[Session, str, bytes, float], bool]:
    """Return what says whether the browser's answer proves one of the user's passkeys (``Logins.answer_passkey``)."""

    def check(session: Session, user_id: str, challenge: bytes, now: float) -> bool:
        try:
            credential = parse_authentication_credential_json(answer[:_MAX_ANSWER_CHARACTERS])
            query = select(Passkey).where(Passkey.credential_id == credential.raw_id, Passkey.user_id == user_id)
            passkey = session.scalars(query).one_or_none()
            if passkey is None:
                return False
            proved = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=host,
                expected_origin=origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
            )
        except (WebAuthnException, ValueError, KeyError):
            return False
        passkey.sign_count = proved.new_sign_count
        passkey.last_used_at = now
        session.flush()
        return True

    return check

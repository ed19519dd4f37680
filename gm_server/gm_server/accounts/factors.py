"""Second factors in the records: authenticator apps and recovery codes. Passkeys are in ``passkeys``."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.database.tables import RecoveryCode, TotpFactor
from gm_server.exceptions import Conflict, NotFound
from gm_server.ids import new_id
from gm_server.names import check_text

from . import recovery, totp

MAX_FACTORS: Final = 8
"""Of a kind and a user."""
_UNCONFIRMED_S: Final = 3600.0


def begin_totp(session: Session, user_id: str, name: str, now: float) -> TotpFactor:
    """Make the secret of an authenticator app; it counts once ``confirm_totp`` has seen a code of it."""
    name = check_text(name.strip(), "the name of the app", 64) or "app"
    stale = TotpFactor.confirmed_at.is_(None) & (TotpFactor.created_at < now - _UNCONFIRMED_S)
    session.execute(delete(TotpFactor).where(TotpFactor.user_id == user_id, stale))
    count = session.scalar(select(func.count()).select_from(TotpFactor).where(TotpFactor.user_id == user_id)) or 0
    if count >= MAX_FACTORS:
        raise Conflict(f"there are {count} authenticator apps already: remove one first")
    secret = secrets.token_bytes(totp.SECRET_BYTES)
    factor = TotpFactor(id=new_id("fac"), user_id=user_id, name=name, secret=secret, created_at=now, last_step=0)
    session.add(factor)
    session.flush()
    return factor


def confirm_totp(session: Session, user_id: str, factor_id: str, code: str, now: float) -> TotpFactor:
    """Let an app count; raises InputError if the code is not its."""
    factor = own_totp(session, user_id, factor_id)
    step = totp.matching_step(factor.secret, code.strip().replace(" ", ""), now, factor.last_step)
    if step is None:
        raise InputError("this is not the code that the app shows now: check the clock of the phone and try again")
    factor.last_step = step
    factor.confirmed_at = factor.confirmed_at or now
    session.flush()
    return factor


def own_totp(session: Session, user_id: str, factor_id: str) -> TotpFactor:
    """Return an app of this user; raises NotFound."""
    factor = session.get(TotpFactor, factor_id)
    if factor is None or factor.user_id != user_id:
        raise NotFound("there is no such authenticator app")
    return factor


def list_totp(session: Session, user_id: str) -> Sequence[TotpFactor]:
    """Return the apps that count."""
    query = select(TotpFactor).where(TotpFactor.user_id == user_id, TotpFactor.confirmed_at.is_not(None))
    return session.scalars(query.order_by(TotpFactor.created_at)).all()


def use_totp(session: Session, user_id: str, code: str, now: float) -> bool:
    """Say whether this is a code of one of the user's apps; it counts this once."""
    bare = code.strip().replace(" ", "")
    for factor in list_totp(session, user_id):
        step = totp.matching_step(factor.secret, bare, now, factor.last_step)
        if step is not None:
            factor.last_step = step
            session.flush()
            return True
    return False


def make_recovery_codes(session: Session, user_id: str) -> tuple[str, ...]:
    """Replace the user's recovery codes by new ones; they are shown this once."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = tuple(recovery.code_text(secrets.token_bytes(recovery.SECRET_BYTES)) for _ in range(recovery.COUNT))
    for code in codes:
        session.add(RecoveryCode(id=new_id("rec"), user_id=user_id, code_sha256=recovery.code_sha256(code)))
    session.flush()
    return codes


def count_recovery_codes(session: Session, user_id: str) -> int:
    """Return how many are left."""
    unused = (RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    return session.scalar(select(func.count()).select_from(RecoveryCode).where(*unused)) or 0


def use_recovery_code(session: Session, user_id: str, code: str, now: float) -> bool:
    """Say whether this is one of the user's recovery codes; it counts this once."""
    use = update(RecoveryCode).where(
        RecoveryCode.user_id == user_id,
        RecoveryCode.code_sha256 == recovery.code_sha256(code),
        RecoveryCode.used_at.is_(None),
    )
    return bool(session.execute(use.values(used_at=now).returning(RecoveryCode.id)).first())

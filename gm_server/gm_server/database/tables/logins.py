"""What proves a person besides the password, and where somebody is logged in."""

from __future__ import annotations

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, belongs_to


class TotpFactor(Base):
    """An authenticator app (RFC 6238); confirmed once the first code was right."""

    __tablename__ = "totp_factors"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(belongs_to("users.id"), index=True)
    name: Mapped[str]
    secret: Mapped[bytes]
    created_at: Mapped[float]
    confirmed_at: Mapped[float | None]
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    """The newest time step that was used: no code counts twice."""


class Passkey(Base):
    """A WebAuthn credential."""

    __tablename__ = "passkeys"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(belongs_to("users.id"), index=True)
    name: Mapped[str]
    credential_id: Mapped[bytes] = mapped_column(unique=True)
    public_key: Mapped[bytes]
    sign_count: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[float]
    last_used_at: Mapped[float | None]


class RecoveryCode(Base):
    """A code that replaces a second factor once."""

    __tablename__ = "recovery_codes"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(belongs_to("users.id"), index=True)
    code_sha256: Mapped[bytes]
    """Of a code with 80 random bits: nothing to guess, so no slow hash."""
    used_at: Mapped[float | None]


class WebSession(Base):
    """A browser that is logged in. The cookie's secret is known only by its hash."""

    __tablename__ = "web_sessions"
    id: Mapped[str] = mapped_column(primary_key=True)
    secret_sha256: Mapped[bytes] = mapped_column(unique=True)
    user_id: Mapped[str] = mapped_column(belongs_to("users.id"), index=True)
    certificate_sha256: Mapped[bytes | None]
    """Of the client certificate that it is bound to."""
    address: Mapped[str]
    browser: Mapped[str] = mapped_column(String(256), default="")
    created_at: Mapped[float]
    confirmed_at: Mapped[float]
    """When the person last proved itself: dangerous things ask again."""
    last_seen_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)


class ApiToken(Base):
    """Lets a program act for a user, within its scopes."""

    __tablename__ = "api_tokens"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(belongs_to("users.id"), index=True)
    name: Mapped[str]
    secret_sha256: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[str] = mapped_column(Text)
    """Names, spaces between them."""
    created_at: Mapped[float]
    expires_at: Mapped[float]
    last_used_at: Mapped[float | None]
    revoked_at: Mapped[float | None]

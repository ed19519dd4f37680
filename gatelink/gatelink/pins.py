"""What a party remembers of the GateManager after the first contact, and how it follows a successor. No I/O.

A pin holds the whole appliance certificate: its serial is what people compare, the SHA-256 of its key is what counts.
Another certificate is accepted only with a chain of statements that begins with the pinned key and ends with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from .certificates import fingerprint_text, key_sha256, serial_text
from .exceptions import PinMismatch, ProtocolError
from .messages import SuccessionStatement

if TYPE_CHECKING:
    from .identity import Identity

_STATEMENT_LABEL: Final = b"gatelink succession statement v1\0"

How = Literal["proof", "fingerprint", "first-use", "succession"]


class Pin(msgspec.Struct, frozen=True):
    """The GateManager's appliance certificate as it is remembered."""

    certificate: bytes
    how: How
    """``proof``: the claim's secret was proved; ``fingerprint``: the claim named it; ``first-use``: taken on trust."""

    @property
    def serial(self) -> str:
        """The serial number as people read it."""
        return serial_text(self.certificate)

    @property
    def key_sha256(self) -> bytes:
        """SHA-256 of the public key."""
        return key_sha256(self.certificate)

    def describe(self) -> str:
        """Return serial and key fingerprint for people."""
        return describe(self.certificate)

    def check(self, presented: bytes) -> None:
        """Raise PinMismatch, naming both, unless ``presented`` (DER) has the pinned serial and key."""
        if key_sha256(presented) != self.key_sha256 or serial_text(presented) != self.serial:
            raise PinMismatch(
                f"the GateManager's certificate is not the pinned one: expected {self.describe()}, "
                f"got {describe(presented)}; somebody may be in between: do not go on, ask who runs the GateManager",
                presented,
            )


def describe(certificate: bytes) -> str:
    """Return a certificate's serial and key fingerprint for people."""
    return f"serial {serial_text(certificate)} (key {fingerprint_text(key_sha256(certificate))})"


def make_statement(old: Identity, new_certificate: bytes) -> SuccessionStatement:
    """Sign, with the old appliance key, that ``new_certificate`` follows."""
    from .identity import sign  # late: see ``certificates``

    old_key_sha256 = key_sha256(old.certificate)
    signature = sign(old, _signed_bytes(old_key_sha256, new_certificate))
    return SuccessionStatement(old_key_sha256, new_certificate, signature)


def follow(pin: Pin, statements: Sequence[SuccessionStatement], presented: bytes) -> Pin:
    """Return the pin of ``presented`` if valid statements (oldest first) lead from ``pin`` to it.

    Raises PinMismatch otherwise, naming both serials.
    """
    current = pin.certificate
    for statement in statements:
        if statement.old_key_sha256 == key_sha256(current) and _is_valid(statement, current):
            current = statement.new_certificate
    if current == pin.certificate:
        pin.check(presented)
        return pin
    successor = Pin(current, "succession")
    successor.check(presented)
    return successor


def _is_valid(statement: SuccessionStatement, signer: bytes) -> bool:
    from .identity import is_signed_by, public_key_of  # late: see ``certificates``

    signed = _signed_bytes(statement.old_key_sha256, statement.new_certificate)
    try:
        public_key_of(statement.new_certificate)
        return is_signed_by(signer, statement.signature, signed)
    except ProtocolError:
        return False


def _signed_bytes(old_key_sha256: bytes, new_certificate: bytes) -> bytes:
    return _STATEMENT_LABEL + old_key_sha256 + new_certificate

"""The state directory: who we are, who the GateManager is, what it calls us. Survives a pulled plug at every step.

key.pem           the device's key while it is not enrolled; made once, kept across attempts
pin.json          the GateManager's appliance certificate
gatemanager.json  the names that the GateManager gave, and where it says it is
identity.pem      key and certificate; written last: from then on the unit is enrolled
waiting.json      where a unit without a claim asked for its place
claim             what a provisioning file brought, until it is redeemed
config.toml       see ``sitemanager.config``
remote-access     see ``sitemanager.host.lock``
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from gatelink.certificates import Credentials
from gatelink.exceptions import InputError, ProtocolError
from gatelink.files import sync_directory, write_atomically
from gatelink.pins import Pin
from gatelink.tls import KeptCredentials
from sitemanager.exceptions import DaemonError, StateError

if TYPE_CHECKING:
    from gatelink.identity import PrivateKey

MAX_FILE_BYTES: Final = 256 * 1024
S = TypeVar("S", bound=msgspec.Struct)


class Known(msgspec.Struct, frozen=True):
    """What the GateManager told us about itself and us."""

    peer_id: str = ""
    name: str = ""
    domain: str = ""
    gm_name: str = ""
    gm_addresses: tuple[str, ...] = ()
    """As the last Welcome had them: tried after those of the configuration."""


class Waiting(msgspec.Struct, frozen=True):
    """A unit without a claim, on its way to be adopted."""

    addresses: tuple[str, ...]


class State:
    """The files of one unit. Every method raises StateError with one line that says what to do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._key = directory / "key.pem"
        self._pin = directory / "pin.json"
        self._known = directory / "gatemanager.json"
        self._identity = directory / "identity.pem"
        self._waiting = directory / "waiting.json"
        self._claim = directory / "claim"

    def prepare(self) -> None:
        """Make the directory, for its owner alone."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"cannot make the state directory {self.directory}: {error.strerror}") from None

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other ``sm`` that changes who we are out. Raises DaemonError if one is at it."""
        self.prepare()
        try:
            file = (self.directory / ".lock").open("ab")
        except OSError as error:
            raise StateError(f"cannot write in the state directory {self.directory}: {error.strerror}") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DaemonError(
                    f"another sm uses {self.directory}: the daemon runs, or an enrolment; end it first"
                ) from None
            yield

    @property
    def is_enrolled(self) -> bool:
        """Whether there is an identity (which may be damaged, or not ours to read)."""
        try:
            self._identity.stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def key(self) -> PrivateKey:
        """Return the device's key for an enrolment; it is made at the first call."""
        from gatelink.identity import key_from_pem, key_to_pem, new_key  # late: see ``gatelink.certificates``

        data = self._read(self._key)
        if data is None:
            key = new_key()
            self._write(self._key, key_to_pem(key))
            return key
        try:
            return key_from_pem(data)
        except InputError as error:
            raise self._damaged(self._key, str(error)) from None

    def key_sha256(self) -> bytes:
        """Return the SHA-256 of the public half of ``key``."""
        from gatelink.identity import own_key_sha256

        return own_key_sha256(self.key())

    def identity(self) -> Credentials | None:
        """Return who we are; None before enrolment."""
        data = self._read(self._identity)
        if data is None:
            return None
        try:
            return KeptCredentials(data)
        except InputError as error:
            raise self._damaged(self._identity, str(error)) from None

    def pin(self) -> Pin | None:
        """Return the pinned GateManager; None before the first contact."""
        pin = self._load(self._pin, Pin)
        if pin is not None:
            try:
                pin.describe()
            except ProtocolError as error:
                raise self._damaged(self._pin, str(error)) from None
        return pin

    def save_pin(self, pin: Pin) -> None:
        """Lock to a GateManager."""
        self._write(self._pin, msgspec.json.encode(pin))

    def known(self) -> Known:
        """Return what the GateManager told us."""
        return self._load(self._known, Known) or Known()

    def save_known(self, known: Known) -> None:
        """Keep what the GateManager told us; nothing is written if it is known already."""
        if known != self.known():
            self._write(self._known, msgspec.json.encode(known))

    def waiting(self) -> Waiting | None:
        """Return where we wait to be adopted; None if we do not."""
        return self._load(self._waiting, Waiting)

    def save_waiting(self, waiting: Waiting) -> None:
        """Keep where we ask for a place."""
        self._write(self._waiting, msgspec.json.encode(waiting))

    def pending_claim(self) -> str:
        """Return a claim that a provisioning file brought and that waits to be redeemed; empty without one."""
        data = self._read(self._claim)
        return "" if data is None else data.decode(errors="replace")

    def save_claim(self, text: str) -> None:
        """Keep a claim until it is redeemed."""
        self._write(self._claim, text.encode())

    def enrolled(self, pin: Pin, identity: Credentials, known: Known) -> None:
        """Keep the result of an enrolment; the identity last, for it is what makes a unit enrolled."""
        self.save_known(known)
        self.save_pin(pin)
        self._write(self._identity, identity.pem)
        self.tidy()

    def tidy(self) -> None:
        """Remove what an enrolled unit needs no more."""
        self._remove(self._waiting, self._claim, self._key)

    def reset(self) -> None:
        """Forget the GateManager and who we are to it; the identity first. Configuration and lock stay."""
        self._remove(self._identity, self._waiting, self._claim, self._key, self._known, self._pin)

    def _read(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                return file.read(MAX_FILE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"cannot read {path}: {error.strerror}") from None

    def _load(self, path: Path, kind: type[S]) -> S | None:
        data = self._read(path)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise self._damaged(path, "the content makes no sense") from None

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_atomically(path, data)
        except OSError as error:
            raise StateError(f"cannot write {path}: {error.strerror}") from None

    def _remove(self, *paths: Path) -> None:
        for path in paths:
            try:
                path.unlink(missing_ok=True)
                sync_directory(path.parent)
            except OSError as error:
                raise StateError(f"cannot remove {path}: {error.strerror}") from None

    def _damaged(self, path: Path, why: str) -> StateError:
        return StateError(f"{path} is damaged ({why}); restore it, or forget the enrolment with sm reset --yes")

"""Who may log in on the set-up page: the unit's own random secret, then the password that its technician chose.

The secret is made once, of 80 random bits, and printed for the label (``sm secret``). It is never derived from a serial
number or an address. It logs in until a password was chosen, and again when that was forgotten at the machine's console
(``sm secret --reset``). ``page.json`` in the state directory belongs to the daemon; the page's process never sees it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

import msgspec

from gatelink.exceptions import InputError
from gatelink.files import write_atomically
from sitemanager.exceptions import StateError

FILE_NAME: Final = "page.json"
SHORTEST_PASSWORD: Final = 10
SECRET_CHARACTERS: Final = 16
_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Letters and digits that nobody mixes up; 30 of them, so 16 are 78 bits."""
# RFC 7914; OWASP's smallest choice of memory (16 MiB), made up for by p.
_N, _R, _P = 2**14, 8, 5
_MOST_MEMORY_BYTES: Final = 64 * 1024 * 1024


class _Content(msgspec.Struct, frozen=True):
    secret: str
    password: str = ""
    """``scrypt$salt$hash``, hexadecimal; empty: none was chosen."""


class PageSecret:
    """Of one unit. Every method may raise StateError; checking takes a quarter of a second and 16 MiB."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE_NAME

    def secret(self) -> str:
        """Return the secret for the label, ``ABCD-EFGH-...``; made at the first call."""
        return self._content().secret

    @property
    def is_new(self) -> bool:
        """Whether no password was chosen yet."""
        return not self._content().password

    def check(self, word: str) -> bool:
        """Return whether this is the password, or on a new unit the secret."""
        content = self._content()
        if content.password:
            return _is_password(word, content.password)
        return hmac.compare_digest(_plain(word).encode(), _plain(content.secret).encode())

    def choose(self, password: str) -> None:
        """Take a password. Raises InputError if it is too easy to guess."""
        content = self._content()
        check_password(password)
        if _plain(password) == _plain(content.secret):
            raise InputError("choose a password of your own, not the one on the label")
        self._write(msgspec.structs.replace(content, password=_hash(password)))

    def reset(self) -> None:
        """Forget the password: the secret is good again."""
        self._write(msgspec.structs.replace(self._content(), password=""))

    def _content(self) -> _Content:
        try:
            data = self._path.read_bytes()[:4096]
        except FileNotFoundError:
            word = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARACTERS))
            content = _Content("-".join(word[start : start + 4] for start in range(0, SECRET_CHARACTERS, 4)))
            self._write(content)
            return content
        except OSError as error:
            raise StateError(f"cannot read {self._path}: {error.strerror}") from None
        try:
            return msgspec.json.decode(data, type=_Content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise StateError(
                f"{self._path} is damaged: nobody can log in on the page; delete it, and print the new label with "
                "sm secret"
            ) from None

    def _write(self, content: _Content) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path, msgspec.json.encode(content))
        except OSError as error:
            raise StateError(f"cannot write {self._path}: {error.strerror}") from None


def check_password(password: str) -> None:
    """Raise InputError, without repeating it, if a password is too easy to guess."""
    if len(password) < SHORTEST_PASSWORD:
        raise InputError(f"the password is too short: take at least {SHORTEST_PASSWORD} characters")
    if len(set(password)) < 5:
        raise InputError("the password repeats too few characters: take at least 5 different ones")


def _plain(word: str) -> str:
    """A secret as people type it: in any case, with or without hyphens."""
    return "".join(letter for letter in word.upper() if letter.isalnum())


def _hash(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def _is_password(password: str, known: str) -> bool:
    try:
        name, salt, digest = known.split("$")
        return name == "scrypt" and hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)).hex(), digest)
    except ValueError:
        return False


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(errors="replace"), salt=salt, n=_N, r=_R, p=_P, maxmem=_MOST_MEMORY_BYTES, dklen=32
    )

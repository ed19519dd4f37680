"""Names that people give, paths made of them, device addresses, free text. Checks what people type; no I/O.

A name is one level of a path, so it holds no ``/``; letters of every language are allowed, what could hide in a log or
a table (control characters, outer spaces) is not. A path is ``domain/.../name``.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from typing import Final

from gatelink.exceptions import InputError

MAX_NAME_CHARACTERS: Final = 63
MAX_DEPTH: Final = 8
"""Of the domain tree: a whole path stays within the 512 characters of the messages."""
_PUNCTUATION: Final = frozenset(" ._-@+()#&',")


def check_name(name: str, what: str) -> str:
    """Return ``name`` in Unicode's normal form; raises InputError that says what is wrong with it."""
    normal = unicodedata.normalize("NFC", name)
    if not 0 < len(normal) <= MAX_NAME_CHARACTERS:
        raise InputError(f"the name of {what} must have 1 to {MAX_NAME_CHARACTERS} characters, got {len(normal)}")
    for character in normal:
        if not (character.isalnum() or character in _PUNCTUATION):
            raise InputError(
                f"the name of {what} holds {character!r}; "
                f"letters, digits and {''.join(sorted(_PUNCTUATION))!r} are allowed"
            )
    if not normal[0].isalnum() or normal[-1] == " ":
        raise InputError(
            f"the name of {what} must begin with a letter or digit and not end with a space, got {normal!r}"
        )
    return normal


def check_path(path: str) -> str:
    """Return a domain's path, checked level by level; raises InputError."""
    levels = path.strip("/").split("/")
    if len(levels) > MAX_DEPTH:
        raise InputError(f"a domain can lie {MAX_DEPTH} levels deep, got {len(levels)} in {path[:80]!r}")
    return "/".join(check_name(level, "a domain") for level in levels)


def split_path(path: str, what: str) -> tuple[str, str]:
    """Return what stands before the last ``/`` and behind it; raises InputError if there is none."""
    before, slash, name = path.strip("/").rpartition("/")
    if not slash:
        raise InputError(f"{what} is named by its whole path, like acme/line3/press1, got {path[:80]!r}")
    return before, name


def check_device_address(address: str) -> str:
    """Return a device's IPv4 address; raises InputError for what no device in a plant can have."""
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError:
        raise InputError(f"expected an IPv4 address like 192.168.1.10, got {address[:60]!r}") from None
    kinds = (
        (parsed.is_unspecified or parsed in ipaddress.IPv4Network("0.0.0.0/8"), "'this network'"),
        (parsed.is_loopback, "a loopback address"),
        (parsed.is_multicast, "a multicast address"),
        (parsed.is_link_local, "a link-local address"),
        (parsed in ipaddress.IPv4Network("240.0.0.0/4"), "a reserved or broadcast address"),
    )
    for wrong, kind in kinds:
        if wrong:
            raise InputError(f"{parsed} is {kind}; a device needs a unicast address of the plant network")
    return str(parsed)


def check_text(text: str, what: str, max_characters: int = 512) -> str:
    """Return free text in one line; raises InputError if it is too long or holds control characters."""
    if len(text) > max_characters:
        raise InputError(f"{what} can have {max_characters} characters, got {len(text)}")
    if not text.isprintable():
        raise InputError(f"{what} must be one line of printable characters")
    return text


def printable(text: str) -> str:
    """Return what a stranger wrote, fit for a log line or a table: control characters become ``?``."""
    return "".join(character if character.isprintable() else "?" for character in text)

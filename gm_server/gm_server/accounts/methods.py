"""The four ways to log in, and which one is in force for a user. No I/O.

    method            certificate    password    second factor
    certificate       x              x           where the user has set one up
    certificate+sms   x              x           always
    password+sms                     x           always
    password                         x           where the user has set one up

The user's own method counts, else that of his domain or the nearest above it, else ``certificate``. Who has a stronger
proof than his method asks for may show it; a weaker one never does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

Method = Literal["certificate", "certificate+sms", "password+sms", "password"]
DEFAULT: Final[Method] = "certificate"


def in_force(own: str | None, by_domain: Iterable[tuple[str, str | None]]) -> Method:
    """Return the user's method; ``by_domain`` are paths with their methods, of his domain and those above it."""
    if own is not None:
        return _known(own)
    nearest = sorted(by_domain, key=lambda entry: entry[0].count("/"), reverse=True)
    return next((_known(method) for _, method in nearest if method is not None), DEFAULT)


def needs_certificate(method: Method) -> bool:
    """Whether a password without a certificate is never enough."""
    return method.startswith("certificate")


def needs_second_factor(method: Method) -> bool:
    """Whether a second factor is asked for even where the user has set none up."""
    return method.endswith("+sms")


def domain_and_above(path: str) -> tuple[str, ...]:
    """Return a domain's path and those of the domains above it."""
    levels = path.split("/")
    return tuple("/".join(levels[:count]) for count in range(len(levels), 0, -1))


def _known(method: str) -> Method:
    match method:
        case "certificate" | "certificate+sms" | "password+sms" | "password":
            return method
    # Of a newer version: the one that asks for most.
    return "certificate+sms"

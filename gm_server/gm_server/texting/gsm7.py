"""The GSM 7-bit alphabet (3GPP TS 23.038 section 6.2.1): which texts it can say, and their septets, packed. No I/O."""

from __future__ import annotations

from typing import Final

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
_ESCAPE: Final = 0x1B
_SEPTETS: Final = {character: (number,) for number, character in enumerate(_BASIC) if number != _ESCAPE} | {
    character: (_ESCAPE, number) for character, number in _EXTENSION.items()
}


def septets(text: str) -> tuple[tuple[int, ...], ...] | None:
    """Return each character's one or two septets; None if the alphabet lacks one."""
    found = tuple(_SEPTETS.get(character) for character in text)
    return None if None in found else tuple(pair for pair in found if pair is not None)


def pack(numbers: list[int], skip_bits: int = 0) -> bytes:
    """Return septets as octets, the first one behind ``skip_bits`` fill bits (23.038 section 6.1.2.1)."""
    whole, width = 0, skip_bits
    for number in numbers:
        whole |= number << width
        width += 7
    return whole.to_bytes(-(-width // 8), "little")

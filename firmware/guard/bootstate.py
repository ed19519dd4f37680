"""The boot state: which slot is tried first, how many attempts each has left. U-Boot's ``boot.cmd`` has it too.

Two copies of 4 KiB on the card, at 1 MiB and at 1 MiB + 64 KiB, each a little-endian CRC-32 and NUL-separated
``name=value`` strings (what U-Boot's ``env import -c`` takes). They are written in turn, so that a pulled plug damages
only the older. The newer one's number follows the older one's: 0, 1, 2, 0, ...
"""

import binascii

SIZE_BYTES = 4096
OFFSETS_BYTES = (0x100000, 0x110000)
ATTEMPTS = 3
"""A slot that was installed, or that was good, is tried this often before the other one is."""
SLOTS = ("A", "B")
DEFAULTS = {
    "gl_seq": "2",
    "gl_order": "A B",
    "gl_a": "3",
    "gl_b": "3",
    "gl_data": "ready",
    "gl_update": "none",
}
"""After both copies were lost: nothing is formatted, nothing is under trial."""


def encode(values: dict[str, str]) -> bytes:
    """Return one copy."""
    text = b"".join(f"{name}={value}".encode() + b"\0" for name, value in sorted(values.items())) + b"\0"
    data = text + b"\0" * (SIZE_BYTES - 4 - len(text))
    return (binascii.crc32(data) & 0xFFFFFFFF).to_bytes(4, "little") + data


def decode(copy: bytes) -> dict[str, str] | None:
    """Return a copy's values, None if it is damaged. Never raises."""
    if len(copy) != SIZE_BYTES:
        return None
    data = copy[4:]
    if int.from_bytes(copy[:4], "little") != (binascii.crc32(data) & 0xFFFFFFFF):
        return None
    values = {}
    for field in data.split(b"\0\0", 1)[0].split(b"\0"):
        name, separator, value = field.partition(b"=")
        if separator:
            try:
                values[name.decode()] = value.decode()
            except UnicodeError:
                return None
    return values if values.get("gl_seq") in ("0", "1", "2") else None


def of_new_card() -> tuple[bytes, bytes]:
    """Return both copies as a card is shipped: slot A alone has a system, the data partition was never ready."""
    values = dict(DEFAULTS)
    values.update({"gl_seq": "0", "gl_b": "0", "gl_data": "new"})
    return encode(values), encode(advanced(values))


def newer(first: dict[str, str] | None, second: dict[str, str] | None) -> int:
    """Return which copy holds (0 or 1); of two damaged ones the first."""
    if second is None:
        return 0
    if first is None:
        return 1
    return 1 if int(second["gl_seq"]) == (int(first["gl_seq"]) + 1) % 3 else 0


def current(copies: tuple[bytes, bytes]) -> tuple[dict[str, str], int]:
    """Return the values in force, every name of them, and which copy is to be written next (0 or 1)."""
    decoded = (decode(copies[0]), decode(copies[1]))
    index = newer(decoded[0], decoded[1])
    found = decoded[index]
    if found is None:
        return dict(DEFAULTS), 0
    values = dict(DEFAULTS)
    values.update(found)
    return values, 1 - index


def advanced(values: dict[str, str]) -> dict[str, str]:
    """Return the values with the next number, ready to be written to the other copy."""
    changed = dict(values)
    changed["gl_seq"] = str((int(values["gl_seq"]) + 1) % 3)
    return changed


def order(values: dict[str, str]) -> list[str]:
    """Return the slots, the one that is tried first, first."""
    found = [slot for slot in values["gl_order"].split() if slot in SLOTS]
    return found or list(SLOTS)


def attempts_left(values: dict[str, str], slot: str) -> int:
    """Return how often a slot may still be tried."""
    text = values["gl_" + slot.lower()]
    return int(text) if text in ("0", "1", "2", "3") else 0


def with_primary(values: dict[str, str], slot: str) -> dict[str, str]:
    """Return the state in which a slot is tried first, with all its attempts."""
    changed = dict(values)
    changed["gl_order"] = slot + " " + other(slot)
    changed["gl_" + slot.lower()] = str(ATTEMPTS)
    return changed


def with_good(values: dict[str, str], slot: str) -> dict[str, str]:
    """Return the state in which a slot is good; a trial of it is over."""
    changed = dict(values)
    changed["gl_" + slot.lower()] = str(ATTEMPTS)
    if changed["gl_update"] == slot:
        changed["gl_update"] = "none"
    return changed


def with_settled(values: dict[str, str], slot: str) -> dict[str, str]:
    """Return the state in which a slot is good and first: whatever was to run before it has failed for good."""
    return with_primary(with_good(values, slot), slot)


def with_bad(values: dict[str, str], slot: str) -> dict[str, str]:
    """Return the state in which a slot is not tried any more."""
    changed = dict(values)
    changed["gl_" + slot.lower()] = "0"
    if changed["gl_update"] == slot:
        changed["gl_update"] = "none"
    return changed


def other(slot: str) -> str:
    """Return the other slot."""
    return "B" if slot == "A" else "A"

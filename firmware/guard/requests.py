"""What the daemon may ask of the guard, in a file of one line: an installation, a restart. Nothing else means anything.

The daemon has no right to write a slot or to restart. Whoever took the daemon over could ask this as well, and gets no
more by it: RAUC judges the bundle by its signature, and an older system is one that was signed too.
"""

MAX_ID = 32


def understood(text: str) -> str:
    """Return the order for a request, made of known words alone; empty if it is none."""
    words = text.strip().split(" ")
    if words == ["restart"]:
        return "restart"
    if words[0] != "install" or len(words) not in (2, 3) or not _is_id(words[1]):
        return ""
    if len(words) == 3 and words[2] != "allow-older":
        return ""
    return " ".join(words)


def _is_id(word: str) -> bool:
    return 0 < len(word) <= MAX_ID and all(letter in "0123456789abcdef" for letter in word)

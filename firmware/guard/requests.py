"""What the daemon may ask of the guard, in a file of one line: an installation, a restart. Nothing else means anything.

The daemon has no right to write a slot or to restart. Whoever took the daemon over could ask this as well, and gets no
more by it: RAUC judges the bundle by its signature, and an older system is one that was signed too.
"""

MAX_ID = 32
_INSTALL = "/usr/lib/gatelink/install"


def command(text: str) -> str:
    """Return the command line for a request, made of known words alone; empty if it is none."""
    words = text.strip().split(" ")
    if words == ["restart"]:
        return "reboot"
    if words[0] != "install" or len(words) not in (2, 3) or not _is_id(words[1]):
        return ""
    if len(words) == 3 and words[2] != "allow-older":
        return ""
    older = " --allow-older" if len(words) == 3 else ""
    return _INSTALL + " --id " + words[1] + older + " </dev/null >/dev/null 2>&1 &"


def _is_id(word: str) -> bool:
    return 0 < len(word) <= MAX_ID and all(letter in "0123456789abcdef" for letter in word)

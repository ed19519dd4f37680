"""The status LED by its trigger: steady while all is well, a heartbeat at the start, fast blinking in trouble."""

PATTERNS = {"start": ("heartbeat",), "well": ("default-on",), "trouble": ("timer",)}


def show(led: str, pattern: str) -> None:
    """Show a pattern; a board without that LED shows nothing."""
    if not led:
        return
    try:
        with open("/sys/class/leds/" + led + "/trigger", "w") as file:  # noqa: PTH123 - MicroPython has no pathlib
            file.write(PATTERNS[pattern][0])
    except OSError:
        return

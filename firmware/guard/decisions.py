"""What the guard does, as pure functions: same input, same answer, on CPython and on MicroPython.

``observe`` turns what was seen at one moment into a new ``memory`` and a list of actions. Times are whole seconds since
boot. The memory is a plain dictionary, so that it can be written down and compared.

| action | means |
|---|---|
| feed | feed the hardware watchdog |
| good | this slot is good |
| rescue | serve the rescue page: the daemon cannot run |
| end-rescue | the daemon is back: the set-up page may have its ports |
| reboot:WHY | start anew; the boot loader counts and may take the other slot |
"""

FRESH_S = 60
"""A heartbeat older than this is a hung daemon."""
START_S = 240
"""From a daemon's start until the first heartbeat; a slow card and a cold cache. A board may have its own."""
CRASHES = 5
"""Daemon starts within WINDOW_S that mean: it cannot run."""
WINDOW_S = 600
STEADY_S = 60
"""How long the daemon must be up before a slot is good."""
TRIAL_S = 900
"""A new system that is not good after this has failed."""


def begin(trial: bool, reached_before: bool, trial_s: int = TRIAL_S, start_s: int = START_S) -> dict:  # type: ignore[type-arg]
    """Return the memory at boot. ``trial``: this slot was installed and never good; ``reached_before``: GM reached."""
    return {
        "trial_s": trial_s,
        "start_s": start_s,
        "trial": trial,
        "reached_before": reached_before,
        "good": False,
        "rescue": False,
        "beat": "",
        "beat_at": -1,
        "up_since": -1,
        "starts": 0,
        "start_times": [],
        "last_start": 0,
        "reached": False,
    }


def observe(memory: dict, now_s: int, seen: dict) -> tuple[dict, list[str]]:  # type: ignore[type-arg]
    """Return the new memory and what is to be done.

    ``seen`` has ``beat`` (the heartbeat's text, which changes while the daemon lives), ``connected`` (to the GM),
    ``page`` (the set-up page answers), ``starts`` (how often the daemon was started since boot).
    """
    memory = dict(memory)
    memory["start_times"] = [time_s for time_s in memory["start_times"] if now_s - time_s < WINDOW_S]
    for _ in range(seen["starts"] - memory["starts"]):
        memory["start_times"].append(now_s)
        memory["up_since"] = -1
        memory["last_start"] = now_s
    memory["starts"] = seen["starts"]
    if seen["beat"] and seen["beat"] != memory["beat"]:
        memory["beat"] = seen["beat"]
        memory["beat_at"] = now_s
        if memory["up_since"] < 0:
            memory["up_since"] = now_s
    if seen["connected"]:
        memory["reached"] = True
    actions = []
    why = _failure(memory, now_s)
    if why and memory["trial"]:
        return memory, ["reboot:" + why]
    if why == "hung":
        return memory, ["reboot:" + why]
    if why and not memory["rescue"]:
        memory["rescue"] = True
        actions.append("rescue")
    # The page cannot open its ports while the rescue page has one of them.
    if not why and memory["rescue"] and memory["up_since"] >= 0:
        memory["rescue"] = False
        actions.append("end-rescue")
    if not memory["good"] and _is_good(memory, now_s, seen["page"]):
        memory["good"] = True
        memory["trial"] = False
        actions.append("good")
    actions.append("feed")
    return memory, actions


def _failure(memory: dict, now_s: int) -> str:  # type: ignore[type-arg]
    """Why the system does not work; empty while it does, or may yet."""
    if len(memory["start_times"]) > CRASHES:
        return "crashes"
    if memory["beat_at"] < 0:
        return "silent" if now_s - memory["last_start"] > memory["start_s"] else ""
    if now_s - memory["beat_at"] > FRESH_S:
        if memory["up_since"] >= 0:
            return "hung"
        return "silent" if now_s - memory["last_start"] > memory["start_s"] else ""
    if memory["trial"] and now_s > memory["trial_s"]:
        return "not-reached" if memory["reached_before"] and not memory["reached"] else "not-good"
    return ""


def _is_steady(memory: dict, now_s: int) -> bool:  # type: ignore[type-arg]
    return bool(memory["up_since"] >= 0 and now_s - memory["up_since"] >= STEADY_S)


def _is_good(memory: dict, now_s: int, page: bool) -> bool:  # type: ignore[type-arg]
    if not _is_steady(memory, now_s):
        return False
    if not memory["trial"]:
        return True
    return page and bool(memory["reached"] or not memory["reached_before"])


def is_older(version: str, than: str) -> bool:
    """Return whether a version (numbers with dots between, then anything) is older than another."""
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> list[int]:
    found = []
    for word in version.split("-")[0].split("+")[0].split("."):
        digits = ""
        for letter in word:
            if not letter.isdigit():
                break
            digits += letter
        found.append(int(digits) if digits else 0)
    while found and found[-1] == 0:
        found.pop()
    return found

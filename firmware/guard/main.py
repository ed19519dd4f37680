"""The guard's loop: looks once a second, decides (``decisions``), acts. Started by init, started again if it ends."""

import os
import time

from guard import bootstate, decisions, leds, machine, requests, rescue, slots, watchdog

PERIOD_S = 1
_RUN = "/run/gatelink/"
_KEPT = "/data/guard/"
_HEARTBEAT = "/run/gatelink-sm/heartbeat"
_REQUEST = "/run/gatelink-sm/guard-request"
_ORDER = _RUN + "order"
"""For ``services/orders``, which init keeps running: MicroPython starts programs by a shell alone."""
_RESCUE = _RUN + "rescue"
"""While it is there, ``services/page`` leaves the ports to the rescue page, and sees that the port has an address."""
_MAX_TEXT_BYTES = 16 * 1024


def read_text(path: str) -> str:
    """Return the beginning of a file; nothing if it cannot be read."""
    try:
        with open(path) as file:  # noqa: PTH123 - MicroPython has no pathlib
            return str(file.read(_MAX_TEXT_BYTES))
    except (OSError, UnicodeError):
        return ""


def write_text(path: str, text: str) -> None:
    """Replace a file; what cannot be written is not."""
    try:
        with open(path + ".new", "w") as file:  # noqa: PTH123
            file.write(text)
            file.flush()
        os.rename(path + ".new", path)  # noqa: PTH104
    except OSError:
        return


def board() -> dict[str, str]:
    """Return the board's facts."""
    rows = [line.split("=", 1) for line in read_text("/etc/gatelink/board").split("\n") if "=" in line]
    return {name: value.strip('"') for name, value in rows if not name.startswith("#")}


def page_answers() -> bool:
    """Whether the set-up page listens: its port is open on this machine."""
    rows = read_text("/proc/net/tcp").split("\n") + read_text("/proc/net/tcp6").split("\n")
    return any(len(words) > 3 and words[1].endswith(":01BB") and words[3] == "0A" for words in map(str.split, rows))


def uptime_s() -> int:
    """Whole seconds since boot."""
    return int(read_text("/proc/uptime").split(".")[0] or 0)


class Guard:
    """One run of the loop."""

    def __init__(self) -> None:
        self._board = board()
        self._watchdog = watchdog.find(self._board.get("WATCHDOG", "/dev/watchdog0"))
        self._device = ""
        self._facts = ""
        self._rescue: rescue.Server | None = None
        self._was_connected = read_text(_KEPT + "reached") != ""
        self._memory = decisions.begin(
            self._is_trial(),
            self._was_connected,
            int(self._board.get("TRIAL_S", decisions.TRIAL_S)),
            int(self._board.get("START_S", decisions.START_S)),
        )
        machine.remove_file(_RESCUE)
        leds.show(self._board.get("LED_STATUS", ""), "start")
        self._tell_slot()

    def turn(self) -> None:
        """Look once and act."""
        beat = read_text(_HEARTBEAT)
        connected = "connected=1" in beat
        if connected and not self._was_connected:
            self._was_connected = True
            write_text(_KEPT + "reached", "yes\n")
        seen = {
            "beat": beat,
            "connected": connected,
            "page": page_answers(),
            "starts": read_text(_RUN + "daemon-starts").count("\n"),
        }
        self._memory, actions = decisions.observe(self._memory, uptime_s(), seen)
        for action in actions:
            self._act(action)
        if self._memory["rescue"] and self._rescue is None:
            # Until the set-up page has left the port.
            self._rescue = self._open_rescue()
        if self._rescue is not None:
            self._serve(self._rescue)
        self._hear()

    def _hear(self) -> None:
        """What the daemon asks, which has no right to do it."""
        text = read_text(_REQUEST)
        if not text:
            return
        machine.remove_file(_REQUEST)
        order = requests.understood(text)
        if not order:
            self._say("a request that means nothing was thrown away")
            return
        self._say("at the daemon's request: " + order)
        write_text(_ORDER, order + "\n")

    def _act(self, action: str) -> None:
        if action == "feed":
            if self._watchdog is not None:
                self._watchdog.feed()
        elif action == "good":
            self._change(bootstate.with_settled, slots.booted())
            leds.show(self._board.get("LED_STATUS", ""), "well")
            # What failed before is told by now; it is not why a later system falls back.
            machine.remove_file(_KEPT + "last-failure")
            self._say("slot " + slots.booted() + " is good")
            write_text(_RUN + "firmware", self._facts)
        elif action == "rescue":
            leds.show(self._board.get("LED_STATUS", ""), "trouble")
            self._say("the SiteManager cannot run: rescue page")
            write_text(_RESCUE, "yes\n")
        elif action == "end-rescue":
            if self._rescue is not None:
                self._rescue.close()
                self._rescue = None
            machine.remove_file(_RESCUE)
            leds.show(self._board.get("LED_STATUS", ""), "well" if self._memory["good"] else "start")
            self._say("the SiteManager runs again: the rescue page is closed")
        elif action.startswith("reboot:"):
            self._reboot(action.split(":", 1)[1])

    def _reboot(self, why: str) -> None:
        """Start anew; a trial's end is written down, so that the system that comes up can say why."""
        slot = slots.booted()
        self._say("starting anew: " + why)
        write_text(_KEPT + "last-failure", slot + " " + read_text("/etc/gatelink/version").strip() + " " + why + "\n")
        if self._memory["trial"]:
            self._change(bootstate.with_bad, slot)
        machine.restart()

    def _is_trial(self) -> bool:
        try:
            self._device = slots.disk()
            return bootstate.current(slots.read(self._device))[0]["gl_update"] == slots.booted()
        except OSError:
            return False

    def _tell_slot(self) -> None:
        """For the daemon's status: which slot runs, and whether the boot loader fell back to it."""
        if not self._device:
            return
        values = bootstate.current(slots.read(self._device))[0]
        first = bootstate.order(values)[0]
        note = "slot=" + slots.booted() + "\nversion=" + read_text("/etc/gatelink/version").strip() + "\n"
        note += "board=" + self._board.get("COMPATIBLE", "") + "\n"
        data = read_text(_RUN + "data").strip()
        if data not in ("ready", "formatted"):
            note += "data=" + data + "\n"
        if first != slots.booted():
            why = read_text(_KEPT + "last-failure").strip() or first + " did not start"
            note += "fell_back=" + why + "\n"
            self._say("fell back to slot " + slots.booted() + ": " + why)
        self._facts = note
        write_text(_RUN + "firmware", note + ("trial=1\n" if self._memory["trial"] else ""))

    def _change(self, change, slot: str) -> None:  # type: ignore[no-untyped-def]
        try:
            values, index = bootstate.current(slots.read(self._device))
            changed = change(values, slot)
            if changed != values:
                slots.write(self._device, bootstate.advanced(changed), index)
        except OSError:
            self._say("the boot state cannot be written")

    def _open_rescue(self) -> "rescue.Server | None":
        try:
            return rescue.Server("0.0.0.0")
        except OSError:
            return None

    def _serve(self, server: "rescue.Server") -> None:
        state = {"system": "slot " + slots.booted() + ", version " + read_text("/etc/gatelink/version").strip()}
        state["data partition"] = read_text(_RUN + "data").strip()
        action = server.poll(state, read_text("/run/log/messages")[-6000:])
        if action == "other-slot":
            self._change(bootstate.with_primary, bootstate.other(slots.booted()))
        elif action == "factory":
            machine.remove_tree("/data/sm")
            machine.remove_file("/data/network/settings")
            machine.remove_file(_KEPT + "reached")
        if action:
            machine.restart()

    def _say(self, text: str) -> None:
        try:
            with open("/dev/kmsg", "w") as file:  # noqa: PTH123
                file.write("gatelink guard: " + text + "\n")
        except OSError:
            return


def main() -> None:
    """Run until the machine goes off."""
    guard = Guard()
    while True:
        guard.turn()
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    main()

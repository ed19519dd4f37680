"""A GSM modem on a pty: enough of 3GPP TS 27.005 and 27.007 to take messages in PDU mode, with faults to choose."""

from __future__ import annotations

import os
import pty
import threading
import tty

import msgspec

CTRL_Z, ESCAPE = b"\x1a", b"\x1b"


class Taken(msgspec.Struct, frozen=True):
    """A message as the network got it."""

    recipient: str
    text: str
    coding: int
    part: tuple[int, int, int] | None
    """Reference, parts in all, number of this one."""


class GsmModem:
    """Runs in a thread of its own between ``start`` and ``close``; ``port`` is its end for the GateManager."""

    def __init__(
        self, *, pin: str = "", network_after: int = 0, dies_at: str = "", refuses: str = "", mute: bool = False
    ) -> None:
        self.taken: list[Taken] = []
        self.pins_tried: list[str] = []
        self.commands: list[str] = []
        self._pin = pin
        self._locked = bool(pin)
        self._network_after = network_after
        self._dies_at = dies_at
        self._refuses = refuses
        self._mute = mute
        self._echo = True
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        self._theirs = theirs
        self.port = os.ttyname(theirs)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> GsmModem:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.unplug()
        self._thread.join(5)

    def unplug(self) -> None:
        """Be gone, as when the USB cable is pulled."""
        for descriptor in (self._theirs, self._ours):
            try:
                os.close(descriptor)
            except OSError:
                continue
        self._theirs = self._ours = -1

    def _run(self) -> None:
        line = b""
        try:
            while True:
                for byte in os.read(self._ours, 256):
                    letter = bytes((byte,))
                    if letter == ESCAPE:
                        line = b""
                    elif letter in (b"\r", CTRL_Z):
                        self._said(line.decode("ascii"), message=letter == CTRL_Z)
                        line = b""
                    elif letter != b"\n":
                        line += letter
        except OSError:
            return

    def _said(self, line: str, *, message: bool) -> None:
        if self._mute or not line:
            return
        self.commands.append(line)
        if self._echo:
            self._say(line + "\r")
        if self._dies_at and (line.startswith(self._dies_at) or (message and self._dies_at == "message")):
            self.unplug()
            raise OSError
        if message:
            self._take(line)
        elif line == "AT":
            self._say("\r\nOK\r\n")
        elif line == "ATE0":
            self._echo = False
            self._say("\r\nOK\r\n")
        elif line == "AT+CPIN?":
            self._say(f"\r\n+CPIN: {'SIM PIN' if self._locked else 'READY'}\r\n\r\nOK\r\n")
        elif line.startswith("AT+CPIN="):
            self.pins_tried.append(line.partition('"')[2].rstrip('"'))
            self._locked = self.pins_tried[-1] != self._pin
            self._say("\r\n+CME ERROR: 16\r\n" if self._locked else "\r\nOK\r\n")
        elif line == "AT+CREG?":
            self._network_after -= 1
            self._say(f"\r\n+CREG: 0,{2 if self._network_after >= 0 else 5}\r\n\r\nOK\r\n")
        elif line.startswith("AT+CMGS="):
            # Something unasked for in between, as modems do.
            self._say("\r\n+CSQ: 17,99\r\n\r\n> " if not self._refuses else f"\r\n{self._refuses}\r\n")
        else:
            self._say("\r\nOK\r\n")

    def _take(self, line: str) -> None:
        data = bytes.fromhex(line)
        self.taken.append(read_submit(data[1 + data[0] :]))
        self._say(f"\r\n+CMGS: {len(self.taken)}\r\n\r\nOK\r\n")

    def _say(self, text: str) -> None:
        os.write(self._ours, text.encode())


BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
ESCAPED = {0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€"}


def read_submit(octets: bytes) -> Taken:
    """Read an SMS-SUBMIT the way a network does, bit by bit (3GPP TS 23.040 section 9.2.2.2)."""
    first, digits = octets[0], octets[2]
    assert first & 0x03 == 1
    assert octets[3] == 0x91
    size = -(-digits // 2)
    swapped = "".join(f"{byte & 15:x}{byte >> 4:x}" for byte in octets[4 : 4 + size])
    rest = octets[4 + size :]
    coding, length = rest[1], rest[3]
    data = rest[4:]
    header = data[: data[0] + 1] if first & 0x40 else b""
    part = (header[3], header[4], header[5]) if header else None
    if coding == 8:
        assert len(data) == length
        text = data[len(header) :].decode("utf-16-be")
    else:
        bits = "".join(f"{byte:08b}"[::-1] for byte in data)
        numbers = [int(bits[at * 7 : at * 7 + 7][::-1], 2) for at in range(-(-len(header) * 8 // 7), length)]
        assert len(data) == -(-length * 7 // 8)
        text = _letters(numbers)
    return Taken("+" + swapped[:digits], text, coding, part)


def _letters(numbers: list[int]) -> str:
    text, escaped = "", False
    for number in numbers:
        if escaped:
            text, escaped = text + ESCAPED[number], False
        elif number == 0x1B:
            escaped = True
        else:
            text += BASIC[number]
    return text

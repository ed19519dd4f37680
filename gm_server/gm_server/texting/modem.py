"""A GSM modem at a serial port: AT commands (3GPP TS 27.005, 27.007) in PDU mode, one message at a time.

The port is opened for each message: a modem that was unplugged and came back is found again, and nobody else is kept
from it for longer. It blocks, and so runs in a thread.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Final

import serial

from gatelink.exceptions import GatelinkError

from .pdu import submit
from .settings import ModemProvider

COMMAND_S: Final = 5.0
SEND_S: Final = 45.0
"""What networks need to take a message at worst (27.005 leaves it open; 30 s and more are seen)."""
REGISTER_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 4096
_HOME, _ROAMING = "1", "5"


class PinRefused(GatelinkError):
    """The card refused its PIN. Three wrong ones lock it: the same one is not to be tried again."""


async def send_by_modem(provider: ModemProvider, recipient: str, text: str, valid_s: float) -> None:
    """Send one message; raises GatelinkError that says what is wrong with port, card, network or message."""
    await asyncio.to_thread(_send, provider, recipient, text, valid_s)


def _send(provider: ModemProvider, recipient: str, text: str, valid_s: float) -> None:
    pdus = submit(recipient, text, valid_s, secrets.randbelow(256))
    try:
        with serial.Serial(provider.port, provider.baud, timeout=0.2, write_timeout=COMMAND_S, exclusive=True) as port:
            modem = Modem(port, provider.name)
            modem.prepare(provider.secret)
            for pdu in pdus:
                modem.send(pdu.line, len(pdu.octets))
    except (serial.SerialException, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise GatelinkError(
            f"{provider.name}: the modem at {provider.port} is lost or cannot be opened ({reason})"
        ) from None


class Modem:
    """Speaks to an open port."""

    def __init__(self, port: serial.Serial, name: str) -> None:
        self._port = port
        self._name = name
        self._pending = b""

    def prepare(self, pin: str) -> None:
        """Wake the modem, unlock its card, wait for its network; raises GatelinkError."""
        # A modem that waits for the rest of an interrupted message takes this as its end (escape).
        self._port.write(b"\x1b\r")
        self._port.reset_input_buffer()
        self._wake()
        self._command("ATE0")
        self._command("AT+CMEE=1")
        self._unlock(pin)
        self._command("AT+CMGF=0")
        self._wait_for_network()

    def send(self, line: str, size_bytes: int) -> None:
        """Send one message in PDU mode; raises GatelinkError."""
        self._write(f"AT+CMGS={size_bytes}\r")
        self._read_until(b"> ", COMMAND_S)
        self._write(line + "\x1a")
        answer = self._answer(SEND_S)
        if not any(piece.startswith("+CMGS:") for piece in answer):
            raise GatelinkError(f"{self._name}: the modem did not confirm the message")

    def _wake(self) -> None:
        for attempt in range(3):
            self._write("AT\r")
            try:
                self._answer(1.5)
            except GatelinkError:
                if attempt == 2:
                    raise
            else:
                return

    def _unlock(self, pin: str) -> None:
        state = " ".join(self._command("AT+CPIN?"))
        if "READY" in state:
            return
        if "SIM PIN" not in state:
            raise GatelinkError(f"{self._name}: the modem's card cannot be used; it says {state[:60]!r}")
        if not (pin.isascii() and pin.isdigit()):
            raise GatelinkError(f"{self._name}: the modem's card asks for its PIN: enter it in the settings")
        try:
            self._command(f'AT+CPIN="{pin}"')
        except GatelinkError:
            raise PinRefused(f"{self._name}: the card refused the PIN: enter the right one in the settings") from None

    def _wait_for_network(self) -> None:
        deadline = time.monotonic() + REGISTER_S
        while True:
            state = " ".join(self._command("AT+CREG?")).rpartition("+CREG:")[2].split(",")
            if len(state) > 1 and state[1].strip() in (_HOME, _ROAMING):
                return
            if time.monotonic() > deadline:
                raise GatelinkError(f"{self._name}: the modem has no network: check its antenna and its card")
            time.sleep(0.5)

    def _command(self, command: str) -> list[str]:
        self._write(command + "\r")
        return self._answer(COMMAND_S)

    def _write(self, text: str) -> None:
        self._port.write(text.encode("ascii"))

    def _answer(self, timeout_s: float) -> list[str]:
        """Return the lines before OK; raises GatelinkError for an error or silence."""
        deadline = time.monotonic() + timeout_s
        lines: list[str] = []
        while True:
            line = self._line(deadline)
            if line == "OK":
                return lines
            if line == "ERROR" or line.startswith(("+CMS ERROR", "+CME ERROR")):
                raise GatelinkError(f"{self._name}: the modem refused ({line})")
            if line and not line.startswith("AT"):
                lines.append(line)

    def _line(self, deadline: float) -> str:
        while b"\n" not in self._pending:
            self._read(deadline)
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode("ascii", "replace").strip()

    def _read_until(self, mark: bytes, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while mark not in self._pending:
            if b"ERROR" in self._pending:
                while "ERROR" not in (line := self._line(deadline)):
                    continue
                raise GatelinkError(f"{self._name}: the modem takes no message ({line})")
            self._read(deadline)
        self._pending = self._pending.partition(mark)[2]

    def _read(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise GatelinkError(f"{self._name}: the modem does not answer: is it the right port and speed?")
        self._pending += self._port.read(max(1, self._port.in_waiting))
        if len(self._pending) > _MAX_ANSWER_BYTES:
            raise GatelinkError(f"{self._name}: what is at the port is no modem")

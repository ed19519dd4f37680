"""com0com: how the application at the other end of a pair has set its line.

The driver's extension of IOCTL_SERIAL_LSRMST_INSERT: with no escape character it inserts nothing into the stream, and
answers with the speed (RBR) and the form (RLC) of the paired port. Numbers are those of the driver's public header
(cncext.h) and of ntddser.h.
"""

from __future__ import annotations

import ctypes
import struct
from ctypes import byref, c_uint32
from typing import Any, Final

from lm_client.agent.serial_line import Line

LSRMST_INSERT: Final = 0x1B << 16 | 31 << 2
"""CTL_CODE(FILE_DEVICE_SERIAL_PORT, 31, METHOD_BUFFERED, FILE_ANY_ACCESS)"""
_SIGNATURE: Final = b"c0c\0"
_GET, _RBR, _RLC = 0x01000000, 0x00000100, 0x00000200
_INSERT_RBR, _INSERT_RLC = 16, 17
REQUEST: Final = b"\0" + _SIGNATURE + struct.pack("<I", _GET | _RBR | _RLC)
_ANSWER_BYTES: Final = 2 + 4 + 2 + 3
_PARITIES: Final = "NOEMS"
_STOP_BITS: Final = (1.0, 1.5, 2.0)


def decode(answer: bytes) -> Line | None:
    """Return what the driver said; None if it is not what was asked for (another driver)."""
    if len(answer) != _ANSWER_BYTES or answer[1] != _INSERT_RBR or answer[7] != _INSERT_RLC:
        return None
    (baud,) = struct.unpack_from("<I", answer, 2)
    data_bits, parity, stop_bits = answer[8:11]
    if parity >= len(_PARITIES) or stop_bits >= len(_STOP_BITS):
        return None
    return Line(baud, _STOP_BITS[stop_bits], data_bits, _PARITIES[parity])


def read_line(kernel32: Any, handle: int) -> Line | None:
    """Ask the driver behind an open end of a pair."""
    request = ctypes.create_string_buffer(REQUEST, len(REQUEST))
    answer, size = ctypes.create_string_buffer(_ANSWER_BYTES), c_uint32()
    done = kernel32.DeviceIoControl(
        handle, LSRMST_INSERT, request, len(REQUEST), answer, _ANSWER_BYTES, byref(size), None
    )
    return decode(answer.raw[: size.value]) if done else None

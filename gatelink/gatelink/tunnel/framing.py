"""What the bytes of a tunnel mean. Parses what the far end sends: it is authenticated, and may be hostile all the same.

The stream inside the end-to-end TLS is a row of frames, each ``u32`` (big-endian) and that many bytes:

    0lllllll llllllll llllllll llllllll   data: an Ethernet frame, behind its virtio-net header where that is in force
    1lllllll llllllll llllllll llllllll   control: MessagePack, at most MAX_CONTROL_BYTES

    both ends   Hello first, before anything else, once
    then        data, Ping, Pong (with the token of the Ping)
    at the end  End, and the TLS connection is closed

Anything else is a FrameError and ends the tunnel: there is no state to which two ends could return.
Version 1: this. The version of the protocol is in the ALPN name (``wire.ALPN_TUNNEL``); a Hello may say more in fields
that are not known here, they are ignored.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from gatelink.exceptions import FrameError

from .offload import VNET_HEADER_BYTES

LENGTH_BYTES: Final = 4
CONTROL_BIT: Final = 0x8000_0000
MIN_ETHERNET_BYTES: Final = 14
"""A header alone. Shorter frames have no meaning, and the kernel refuses them."""
MAX_ETHERNET_BYTES: Final = 65_535 + 14 + 2 * 4
"""The largest IP packet that a kernel leaves uncut, its Ethernet header and two VLAN tags."""
MAX_DATA_BYTES: Final = MAX_ETHERNET_BYTES + VNET_HEADER_BYTES
MAX_CONTROL_BYTES: Final = 256
"""A security limit, far above what the messages below need."""

LENGTH: Final = struct.Struct("!I")
"""The length word in front of every frame."""

Token: TypeAlias = Annotated[bytes, Meta(min_length=8, max_length=8)]


class _Control(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """Base of the control messages: the tag is the class name in lower case."""


class Hello(_Control, frozen=True):
    """The first thing that each end says; ``offload`` are the flags of ``offload.Offload`` that it can take."""

    offload: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0
    mtu_bytes: Annotated[int, Meta(ge=576, le=65_535)] = 1500


class Ping(_Control, frozen=True):
    """Asks for a Pong with the same token, to see that the other end lives and how far away it is."""

    token: Token


class Pong(_Control, frozen=True):
    """The answer to a Ping."""

    token: Token


class End(_Control, frozen=True):
    """The sender ends the tunnel; the text is for people."""

    text: Annotated[str, Meta(max_length=120)] = ""


Control: TypeAlias = Hello | Ping | Pong | End

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Control] = msgspec.msgpack.Decoder(Control)


def encode_control(message: Control) -> bytes:
    """Return the whole frame."""
    payload = _encoder.encode(message)
    if len(payload) > MAX_CONTROL_BYTES:
        raise FrameError(f"a control message of {len(payload)} bytes cannot be sent; at most {MAX_CONTROL_BYTES}")
    return LENGTH.pack(CONTROL_BIT | len(payload)) + payload


def decode_control(payload: bytes | memoryview) -> Control:
    """Return the message of a control frame. Raises FrameError if it is none that the far end may send."""
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"the far end sent a control message that is none: {error}") from None


def control_size(word: int) -> int:
    """Return the payload size of the control frame that starts with ``word``.

    Raises FrameError for every word that announces neither a control frame nor an acceptable data frame, before
    anything of the announced payload is kept.
    """
    size_bytes = word & ~CONTROL_BIT
    if word < CONTROL_BIT:
        raise FrameError(
            f"the far end announced a frame of {word} bytes; {MIN_ETHERNET_BYTES} to {MAX_DATA_BYTES} are allowed"
        )
    if not 0 < size_bytes <= MAX_CONTROL_BYTES:
        raise FrameError(
            f"the far end announced a control message of {size_bytes} bytes; 1 to {MAX_CONTROL_BYTES} are allowed"
        )
    return size_bytes

"""The TAP adapter on Linux: opened by name, or handed over as an open descriptor by a service with the rights for it.

The adapter is not persistent: it goes when its last descriptor is closed, after ``kill -9`` too. It is opened with the
virtio-net header, so that its kernel need not cut and checksum what the far kernel can cut and checksum.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gatelink.exceptions import TapError

from .offload import ALL, VNET_HEADER_BYTES, Offload

QUEUE_FRAMES: Final = 32
"""Default length of the adapter's queue, in frames of up to 64 KiB (docs/decisions/0012)."""
_DEVICE: Final = Path("/dev/net/tun")
_NAME_BYTES: Final = 15

# <linux/if_tun.h>
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_TUNSETIFF, _TUNGETIFF, _TUNSETOFFLOAD, _TUNSETVNETLE = 0x400454CA, 0x800454D2, 0x400454D0, 0x400454DC
_TUNSETVNETHDRSZ: Final = 0x400454D8
_ifreq_flags = struct.Struct("16sH22x")
# <linux/netlink.h>, <linux/rtnetlink.h>, <linux/if_link.h>
_RTM_NEWLINK, _NLM_F_REQUEST, _NLM_F_ACK, _NLMSG_ERROR = 16, 1, 4, 2
_IFLA_ADDRESS, _IFLA_MTU, _IFLA_TXQLEN = 1, 4, 13
_nlmsghdr, _ifinfomsg, _nlattr = struct.Struct("=IHHII"), struct.Struct("=BxHiII"), struct.Struct("=HH")

_ADVICE: Final = {
    errno.ENOENT: f"{_DEVICE} is missing; load the kernel module tun",
    errno.ENODEV: f"the kernel has no TAP driver behind {_DEVICE}; load the kernel module tun",
    errno.EACCES: f"no right to open {_DEVICE}; run the service as root or with CAP_NET_ADMIN",
    errno.EPERM: "no right to make an adapter; run the service as root or with CAP_NET_ADMIN",
    errno.EBUSY: "the name is in use by another program; end it or choose another name",
    errno.EINVAL: "the name belongs to an interface that is no TAP adapter; choose another name",
}


def is_supported() -> bool:
    """Whether this machine can have TAP adapters at all; rights are a matter of ``open_tap``."""
    return sys.platform == "linux" and _DEVICE.exists()


class Tap:
    """An open TAP adapter. Its descriptor is non-blocking."""

    def __init__(self, descriptor: int) -> None:
        """Take over an open descriptor of a TAP adapter. Raises TapError, and then it is the caller's still."""
        try:
            raw, flags = _ifreq_flags.unpack(fcntl.ioctl(descriptor, _TUNGETIFF, bytes(_ifreq_flags.size)))
        except OSError as error:
            raise TapError(f"descriptor {descriptor} is no TAP adapter: {error.strerror}") from None
        self.name: str = raw.rstrip(b"\0").decode(errors="replace")
        if not flags & _IFF_TAP or not flags & _IFF_NO_PI:
            raise TapError(f"{self.name} is no TAP adapter without packet information (flags {flags:#x})")
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._has_header = bool(flags & _IFF_VNET_HDR)
        # FileIO says None where os.read raises BlockingIOError: an exception costs more than the system call.
        self._file = io.FileIO(descriptor, "r+b", closefd=False)
        if self._has_header:
            _ioctl_int(descriptor, _TUNSETVNETLE, 1)
            _ioctl_int(descriptor, _TUNSETVNETHDRSZ, VNET_HEADER_BYTES)

    def fileno(self) -> int:
        """The descriptor, for epoll."""
        return self._descriptor

    @property
    def offload(self) -> Offload:
        """What this adapter can leave to the far end."""
        return ALL if self._has_header else Offload.NONE

    def use(self, offload: Offload) -> None:
        """Put in force what was negotiated: ``ports`` and the kernel follow it. Raises TapError."""
        if not self._has_header:
            return
        try:
            fcntl.ioctl(self._descriptor, _TUNSETOFFLOAD, int(offload))
        except OSError as error:
            raise TapError(f"{self.name} does not take the offload {offload!r}: {error.strerror}") from None

    def ports(self, offload: Offload) -> tuple[Callable[[memoryview], int | None], Callable[[memoryview], int | None]]:
        """Return how to read and to write one frame as the wire has it: with the header if any offload is in force.

        Both return None when the adapter has nothing or takes nothing now, and raise OSError when it is gone.
        """
        if offload or not self._has_header:
            return self._file.readinto, self._file.write
        descriptor = self._descriptor
        header = bytearray(VNET_HEADER_BYTES)
        # "Nothing left to do": all zero.
        empty = bytes(VNET_HEADER_BYTES)

        def read(view: memoryview) -> int | None:
            try:
                return os.readv(descriptor, (header, view)) - VNET_HEADER_BYTES
            except BlockingIOError:
                return None

        def write(view: memoryview) -> int | None:
            try:
                return os.writev(descriptor, (empty, view)) - VNET_HEADER_BYTES
            except BlockingIOError:
                return None

        return read, write

    def close(self) -> None:
        """Remove the adapter, unless another descriptor of it is open. May be called twice."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._file.close()
            os.close(self._descriptor)
            self._descriptor = -1


def open_tap(name: str, *, mtu_bytes: int = 1500, mac: bytes | None = None, queue_frames: int = QUEUE_FRAMES) -> Tap:
    """Make the adapter ``name`` in this process's network namespace; it is down and has no address yet.

    ``mac`` are 6 bytes; without it the kernel chooses one. Raises TapError with one line that says what to do.
    """
    if not is_supported():
        raise TapError(f"cannot open the TAP adapter {name}: {_ADVICE[errno.ENOENT]}")
    encoded = name.encode()
    if not 0 < len(encoded) <= _NAME_BYTES or "/" in name or "%" in name or name.split() != [name]:
        raise TapError(f"{name!r} is no name for an adapter: 1 to {_NAME_BYTES} characters without blank, / and %")
    descriptor = -1
    try:
        descriptor = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(descriptor, _TUNSETIFF, _ifreq_flags.pack(encoded, _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR))
        _set_link(name, mtu_bytes, queue_frames, mac)
        return Tap(descriptor)
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        advice = _ADVICE.get(error.errno or 0, error.strerror)
        raise TapError(f"cannot open the TAP adapter {name}: {advice}") from None
    except BaseException:
        if descriptor >= 0:
            os.close(descriptor)
        raise


def _set_link(name: str, mtu_bytes: int, queue_frames: int, mac: bytes | None) -> None:
    """Set what an interface has, by one netlink message. Raises OSError.

    Not by ioctl: the one for the queue's length asks for rights in the first user namespace.
    """
    attributes = {_IFLA_MTU: struct.pack("=I", mtu_bytes), _IFLA_TXQLEN: struct.pack("=I", queue_frames)}
    if mac is not None:
        attributes[_IFLA_ADDRESS] = mac
    body = _ifinfomsg.pack(socket.AF_UNSPEC, 0, socket.if_nametoindex(name), 0, 0)
    for kind, value in attributes.items():
        body += _nlattr.pack(_nlattr.size + len(value), kind) + value + bytes(-len(value) % 4)
    header = _nlmsghdr.pack(_nlmsghdr.size + len(body), _RTM_NEWLINK, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        netlink.send(header + body)
        answer = netlink.recv(4096)
    _, kind, _, _, _ = _nlmsghdr.unpack_from(answer)
    (status,) = struct.unpack_from("=i", answer, _nlmsghdr.size)
    if kind != _NLMSG_ERROR or status:
        raise OSError(-status, os.strerror(-status))


def _ioctl_int(descriptor: int, request: int, value: int) -> None:
    # Old kernels lack these two; their defaults are what is asked for on every little-endian machine.
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, request, struct.pack("i", value))

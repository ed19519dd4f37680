"""What two kernels can leave to each other: frames that are not cut into packets and not checksummed yet.

Each end offers flags in its Hello; what both offered is in force. With any flag in force every frame travels with its
virtio-net header (VIRTIO 1.2, 5.1.6: 10 bytes, little-endian), else without. An end without a virtio-net header
(Windows) offers nothing, and the other end's kernel then finishes each frame before it hands it out.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final

VNET_HEADER_BYTES: Final = 10
"""``struct virtio_net_hdr`` without ``num_buffers``."""


class Offload(IntFlag):
    """The flags of the wire; they have the values of the kernel's TUN_F_* so that old ends understand them."""

    NONE = 0
    CHECKSUM = 1
    TCP4 = 2
    TCP6 = 4


ALL: Final = Offload.CHECKSUM | Offload.TCP4 | Offload.TCP6


def negotiate(ours: Offload, theirs: int) -> Offload:
    """Return what both sides offered. TCP segments without a checksum offload make no sense: then nothing is."""
    common = Offload(int(ours) & theirs & int(ALL))
    return common if Offload.CHECKSUM in common else Offload.NONE

"""What may be asked of the daemon about the firmware: what runs, and to take an update from the set-up page."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gatelink.messages.appliance import FirmwareState

from .local import LocalAnswer, LocalRequest
from .updates import MAX_BUNDLE_BYTES

MAX_PIECE_BYTES: Final = 192 * 1024
"""As base64 it fits ``core.local.MAX_REQUEST_BYTES``."""


class FirmwareRequest(LocalRequest, frozen=True):
    """Which system runs, and how an update goes."""


class UpdateView(msgspec.Struct, frozen=True):
    """An update for people; ``over``: nothing more happens to it."""

    state: FirmwareState
    percent: int
    text: str
    version: str
    source: str
    over: bool


class FirmwareAnswer(LocalAnswer, frozen=True):
    """``slots``: this system is updated as a whole. ``fell_back``: why an installed system does not run."""

    slots: bool
    slot: str = ""
    version: str = ""
    trial: bool = False
    fell_back: str = ""
    update: UpdateView | None = None
    max_bytes: int = MAX_BUNDLE_BYTES


class UploadRequest(LocalRequest, frozen=True):
    """Begin to hand over a bundle; refused while another update is under way."""

    size_bytes: Annotated[int, Meta(ge=1, le=MAX_BUNDLE_BYTES)]
    allow_older: bool = False
    during_sessions: bool = False


class UploadAnswer(LocalAnswer, frozen=True):
    """The upload has begun: ``upload_id`` belongs to each piece."""

    upload_id: str


class UploadPieceRequest(LocalRequest, frozen=True):
    """The next piece, in order. With the last one the installation begins."""

    upload_id: Annotated[str, Meta(max_length=64)]
    offset: Annotated[int, Meta(ge=0)]
    data: Annotated[bytes, Meta(max_length=MAX_PIECE_BYTES)]


class CancelUpdateRequest(LocalRequest, frozen=True):
    """Give up an update that is not being installed yet."""

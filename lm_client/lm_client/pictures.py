"""Finds the invitation in a picture of its QR code. Decodes what strangers may have sent; every size is bounded here.

Bytes per pixel go to zxing-cpp, which finds codes in them. The local page needs no more: the browser, which is made for
it and locked in, decodes the picture and sends its brightness. The command has files to decode, for which it takes
Pillow if there is one: it would be the largest part of the package, for this alone (decision 0155).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final, NamedTuple

from gatelink.exceptions import InputError

from .exceptions import NoCode
from .redeeming import parse_invitation

MAX_PIXELS: Final = 16 * 1024 * 1024
"""Page and command make larger pictures smaller. A security limit."""
_MAX_SIDE: Final = 8192
_MAX_FILE_BYTES: Final = 32 * 1024 * 1024
_MAX_FILE_PIXELS: Final = 80 * 1000 * 1000
_DRAFT: Final = (4096, 4096)
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_NOTHING: Final = "no QR code is found in this picture: take one that shows the whole code, sharp and not too small"
_NO_PILLOW: Final = (
    "reading a picture on the command line needs Pillow: `apt install python3-pil` with the Debian package, "
    "`pipx inject gatelink-lm pillow` with pipx; or drop the picture on the page of `lm ui`, which needs nothing"
)


class Picture(NamedTuple):
    """One byte of brightness a pixel, row by row from the top."""

    width: int
    height: int
    brightness: bytes


def invitation_in(picture: Picture) -> str:
    """Return the text of the invitation whose QR code the picture shows.

    Raises NoCode, or InputError: another code, or no picture of this size.
    """
    import zxingcpp

    width, height = picture.width, picture.height
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE and width * height <= MAX_PIXELS):
        raise InputError(f"a picture of {width} x {height} pixels; at most {MAX_PIXELS // 1024**2} megapixels are read")
    if len(picture.brightness) != width * height:
        raise InputError(f"a picture of {width} x {height} pixels with {len(picture.brightness)} bytes: try again")
    rows = memoryview(picture.brightness).cast("B", (height, width))
    found = zxingcpp.read_barcodes(rows, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    if not found:
        raise NoCode(_NOTHING)
    refusals = []
    for code in found:
        try:
            parse_invitation(code.text)
        except InputError as error:
            refusals.append(str(error))
        else:
            return code.text
    raise InputError(f"the QR code was read, but {refusals[0]}")


def read_picture(path: Path) -> Picture:
    """Return what a file shows (PNG, JPEG, WebP, GIF, BMP). Raises InputError, also if Pillow is missing."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise InputError(_NO_PILLOW) from None
    try:
        size_bytes = path.stat().st_size
        if size_bytes > _MAX_FILE_BYTES:
            raise InputError(f"{path} has {size_bytes} bytes; a picture of at most {_MAX_FILE_BYTES} is read")
        with warnings.catch_warnings(action="ignore"):  # of many pixels: said below
            opened = Image.open(path, formats=_FORMATS)
        with opened as image:
            if image.width * image.height > _MAX_FILE_PIXELS:
                raise InputError(f"{path} has {image.width} x {image.height} pixels: take a smaller picture")
            image.draft("L", _DRAFT)  # JPEG: the decoder itself makes it smaller
            small = image.convert("RGBA") if "transparency" in image.info or image.mode in ("LA", "PA") else image
            if small.mode == "RGBA":  # what is transparent is shown on white
                small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
            small = small.convert("L")
            small.thumbnail(_DRAFT)
            return Picture(small.width, small.height, small.tobytes())
    except UnidentifiedImageError:
        raise InputError(f"{path} is no picture that can be read: expected {', '.join(_FORMATS)}") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "the picture is damaged"
        raise InputError(f"cannot read {path}: {why}") from None

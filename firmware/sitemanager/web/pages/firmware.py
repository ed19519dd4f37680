"""The system that runs, and updates: a bundle goes from the browser to the daemon in pieces, and never lies here.

The body is the file itself, not a form: it is handed on as it comes, so that this process needs room for one piece.
"""

from __future__ import annotations

import hmac
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sitemanager.core.firmware_requests import (
    MAX_PIECE_BYTES,
    CancelUpdateRequest,
    FirmwareAnswer,
    FirmwareRequest,
    UploadAnswer,
    UploadPieceRequest,
    UploadRequest,
)
from sitemanager.core.local_requests import StatusRequest
from sitemanager.core.status import Status
from sitemanager.core.updates import MAX_BUNDLE_BYTES
from sitemanager.web.daemon import NotDone
from sitemanager.web.visit import Visit


async def firmware(visit: Visit) -> Response:
    """What runs, how an update goes, and the form for one."""
    if visit.request.method == "POST":
        await visit.read()
        await visit.ask(CancelUpdateRequest(), FirmwareAnswer)
        return visit.go("/firmware")
    system = await visit.ask(FirmwareRequest(), FirmwareAnswer)
    return await visit.page("firmware.html", now=await visit.ask(StatusRequest(), Status), system=system)


async def live(visit: Visit) -> Response:
    """The part of the page that changes."""
    system = await visit.ask(FirmwareRequest(), FirmwareAnswer)
    return visit.plain("firmware_live.html", system=system)


async def bundle(visit: Visit) -> Response:
    """Take a bundle. 409 with one line for people where it is not taken."""
    request = visit.request
    visit.check_origin()
    if not hmac.compare_digest(request.headers.get("x-csrf", "").encode(), visit.csrf.encode()):
        raise HTTPException(403)
    if request.headers.get("content-type", "") != "application/octet-stream":
        raise HTTPException(415)
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 12):
        raise HTTPException(411)
    if not 1 <= int(length) <= MAX_BUNDLE_BYTES:
        raise HTTPException(413)
    asked = request.query_params
    begin = UploadRequest(
        size_bytes=int(length), allow_older="allow_older" in asked, during_sessions="during_sessions" in asked
    )
    try:
        answer = await _handed_over(visit, (await visit.ask(begin, UploadAnswer)).upload_id)
    except NotDone as refused:
        return PlainTextResponse(str(refused), 409, headers={"connection": "close"})
    return JSONResponse({"state": answer.update.state if answer.update else ""})


async def _handed_over(visit: Visit, upload_id: str) -> FirmwareAnswer:
    answer = FirmwareAnswer(slots=True)
    piece, offset = bytearray(), 0
    async for data in visit.request.stream():
        piece += data
        while len(piece) >= MAX_PIECE_BYTES or (piece and not data):
            part = bytes(piece[:MAX_PIECE_BYTES])
            del piece[:MAX_PIECE_BYTES]
            answer = await visit.ask(
                UploadPieceRequest(upload_id=upload_id, offset=offset, data=part), FirmwareAnswer, timeout_s=70
            )
            offset += len(part)
    return answer


ROUTES: Final = (
    ("/firmware", ["GET", "POST"], firmware),
    ("/firmware/live", ["GET"], live),
    ("/firmware/bundle", ["POST"], bundle),
)

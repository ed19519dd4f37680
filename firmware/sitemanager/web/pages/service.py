"""Log, restart, diagnosis."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse, Response

from sitemanager.core.local import DoneAnswer
from sitemanager.core.local_requests import LogAnswer, LogRequest, RestartRequest, StatusRequest
from sitemanager.core.status import Status
from sitemanager.web.daemon import NotDone
from sitemanager.web.shown import clock
from sitemanager.web.visit import Visit

DOCTOR_S: Final = 65.0


async def log(visit: Visit) -> Response:
    """The last lines."""
    answer = await visit.ask(LogRequest(), LogAnswer)
    return await visit.page("log.html", lines=answer.lines)


async def log_lines(visit: Visit) -> Response:
    """Lines that came since."""
    after = visit.request.query_params.get("after", "0")
    number = int(after) if after.isascii() and after.isdigit() and len(after) < 12 else 0
    answer = await visit.ask(LogRequest(after=number), LogAnswer)
    return JSONResponse([{"number": line.number, "at": clock(line.at), "text": line.text} for line in answer.lines])


async def log_file(visit: Visit) -> Response:
    """The lines as a file."""
    answer = await visit.ask(LogRequest(), LogAnswer)
    text = "".join(f"{clock(line.at)} {line.text}\n" for line in answer.lines)
    name = 'attachment; filename="gatelink-log.txt"'
    return Response(text, media_type="text/plain; charset=utf-8", headers={"content-disposition": name})


async def restart(visit: Visit) -> Response:
    """Restart the program or the unit."""
    if visit.request.method == "POST":
        form = await visit.read()
        whole = form.text("what") == "unit"
        answer = await visit.ask(RestartRequest(whole_unit=whole), DoneAnswer)
        return visit.plain("restarting.html", text=answer.text)
    return await visit.page("restart.html", now=await visit.ask(StatusRequest(), Status))


async def diagnosis(visit: Visit) -> Response:
    """What is wrong and what to do, when it was asked for; and the letter to the site's IT department."""
    report, error = None, ""
    if visit.request.method == "POST":
        from sitemanager.core.diagnosis import DoctorAnswer, DoctorRequest

        await visit.read()
        try:
            report = await visit.ask(DoctorRequest(), DoctorAnswer, timeout_s=DOCTOR_S)
        except NotDone as refused:
            error = str(refused)
    now = await visit.ask(StatusRequest(), Status)
    return await visit.page("diagnosis.html", status=409 if error else 200, now=now, report=report, error=error)


async def capture(visit: Visit) -> Response:
    """Record what goes over the machine side, as a file for Wireshark."""
    from sitemanager.core.capture import CaptureAnswer, CaptureRequest

    form = await visit.read()
    seconds = form.number("seconds")
    length_s = float(seconds) if isinstance(seconds, int) and 1 <= seconds <= 60 else 10.0
    answer = await visit.ask(CaptureRequest(seconds=length_s), CaptureAnswer, timeout_s=length_s + 15)
    name = 'attachment; filename="gatelink-machine-side.pcap"'
    return Response(answer.pcap, media_type="application/vnd.tcpdump.pcap", headers={"content-disposition": name})


ROUTES: Final = (
    ("/log", ["GET"], log),
    ("/log/lines", ["GET"], log_lines),
    ("/log/gatelink-log.txt", ["GET"], log_file),
    ("/restart", ["GET", "POST"], restart),
    ("/diagnosis", ["GET", "POST"], diagnosis),
    ("/diagnosis/capture", ["POST"], capture),
)

"""Reading the audit log: everybody sees what happened in the domains that his roles show him."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from sqlalchemy.orm import Session

from gatelink.identity import Identity
from gm_server.access.actors import Actor
from gm_server.audit import reading
from gm_server.audit.checkpoints import make_checkpoint
from gm_server.audit.cuts import add_cut, beginning
from gm_server.audit.events import Event
from gm_server.audit.export import Csv, JsonLines
from gm_server.audit.log import Detail, Subject, record
from gm_server.audit.reading import Filter, Record
from gm_server.audit.verification import Report
from gm_server.exceptions import Conflict, Forbidden

from .subjects import missing

ExportForm = Literal["jsonl", "csv"]
MEDIA_TYPES: Final[dict[ExportForm, str]] = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


class ExportFile(msgspec.Struct, frozen=True):
    """An export that is about to be written: call ``pages.page`` until it returns None."""

    name: str
    media_type: str
    pages: JsonLines | Csv


def list_entries(
    session: Session, by: Actor, wanted: Filter, before: int | None = None, limit: int = 100
) -> Sequence[Record]:
    """Return the newest entries that ``by`` may see, with numbers below ``before``, newest first."""
    return reading.page(session, seen_by(by, wanted), before, limit)


def get_entry(session: Session, by: Actor, number: int) -> Record:
    """Return one entry."""
    found = list_entries(session, by, Filter(), number + 1, 1)
    if not found or found[0].entry.number != number:
        missing("entry", str(number))
    return found[0]


def open_export(
    session: Session, by: Actor, wanted: Filter, form: ExportForm, identity: Identity, gatemanager: str, now: float
) -> ExportFile:
    """Record that the log is exported, and return the file; JSON lines are signed by the server's ``identity``."""
    wanted = start_export(session, by, wanted, form, now)
    name = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime(f"gatelink-audit-%Y%m%d-%H%M%S.{form}")
    pages: JsonLines | Csv = JsonLines(identity, gatemanager, wanted, by.name, now) if form == "jsonl" else Csv(wanted)
    return ExportFile(name, MEDIA_TYPES[form], pages)


def start_export(session: Session, by: Actor, wanted: Filter, form: str, now: float) -> Filter:
    """Record that the log is exported; return the filter with which to do it (``audit.export``)."""
    wanted = seen_by(by, wanted)
    subject = Subject(name="audit log", domain=wanted.domain)
    record(session, by, Event.AUDIT_EXPORTED, subject, now, form=form, entries=reading.count(session, wanted))
    return wanted


def cut_log(session: Session, by: Actor, identity: Identity, report: Report, file_sha256: bytes, now: float) -> None:
    """Let the log begin behind what a verified file holds (``audit.cut``); the entries are then to be swept away.

    At the server's own command line alone: it is the one thing that takes something out of the log.
    """
    if by.via != "cli":
        raise Forbidden("the log is cut at the server's own command line")
    if report.findings or beginning(session) != report.begins_behind or report.last <= report.begins_behind:
        raise Conflict("the log was cut by somebody else meanwhile, or the file is not whole: nothing was removed")
    add_cut(session, identity, report.last, report.end_hash, now)
    details: dict[str, Detail] = {"last": report.last, "entries": report.entries, "file_sha256": file_sha256.hex()}
    record(session, by, Event.AUDIT_CUT, Subject(name="audit log"), now, "done", **details)
    make_checkpoint(session, identity, now)


def seen_by(by: Actor, wanted: Filter) -> Filter:
    """Return the filter limited to what ``by`` may see; raises Forbidden for who sees no domain."""
    domains = by.seen_domains
    if domains is not None and not domains:
        raise Forbidden("only who has a role in a domain sees an audit log: its own")
    return msgspec.structs.replace(wanted, domains=domains)

"""Files of the audit log on this machine's disk: one is there whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from gatelink.exceptions import GatelinkError
from gatelink.files import sync_directory
from gm_server.database.engine import Database
from gm_server.exceptions import Conflict

from .export import JsonLines
from .verification import MAX_LINE_BYTES, Report, Verification


def write_whole(database: Database, writer: JsonLines, output: Path) -> tuple[Report, bytes]:
    """Write an export to ``output``, which must not exist, and read it back; return what it proves and its SHA-256.

    It lies on the disk before it has its name: what is taken out of the database afterwards is in no danger.
    """
    if output.exists():
        raise Conflict(f"{output} exists already: name another file")
    partial = output.with_name(f".{output.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            is_over = False
            while not is_over:
                with database.read() as session:
                    piece = writer.page(session)
                file.write(piece or b"")
                is_over = piece is None
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            report = read_report(file)
            if report.findings:
                raise GatelinkError(f"the log is not as it was written, nothing was removed: {report.findings[0]}")
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").digest()
        # A link, not a renaming: a file that came into being meanwhile is not overwritten.
        os.link(partial, output)
    except FileExistsError:
        raise Conflict(f"{output} exists already: name another file") from None
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(output.absolute().parent)
    return report, digest


def read_report(file: BinaryIO) -> Report:
    """Verify a file; what it proves is in the report."""
    verification = Verification()
    while text := file.readline(MAX_LINE_BYTES):
        verification.line(text)
    return verification.finish()

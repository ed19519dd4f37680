"""``gm serve``: the process around the server: log, signals, the line that says it is ready."""

from __future__ import annotations

import asyncio
import datetime
import logging
import signal
import sys
from typing import Final, Literal, TypeAlias

import msgspec

from gatelink.exceptions import GatelinkError
from gm_server.directory import DataDirectory

from .server import Server

LogForm: TypeAlias = Literal["text", "json"]
_LINE_CHARACTERS: Final = 2000
_log = logging.getLogger("gm.server")


class _OneLine(logging.Formatter):
    """One bounded line a record, whatever it holds: a traceback follows its message behind ``|``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        text = " | ".join(line.strip() for line in super().format(record).splitlines() if line.strip())
        return "".join(character if character.isprintable() else "?" for character in text)[:_LINE_CHARACTERS]


class _Json(logging.Formatter):
    """One JSON object a record, bounded, for collectors of logs."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        fields = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_LINE_CHARACTERS],
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)[-_LINE_CHARACTERS:]
        return msgspec.json.encode(fields).decode()


def serve(directory: DataDirectory, log: LogForm = "text") -> None:
    """Run the server until SIGTERM or SIGINT; raises GatelinkError if it cannot start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log == "json" else _OneLine())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    asyncio.run(_serve(directory))


async def _serve(directory: DataDirectory) -> None:
    server = Server(directory)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    await server.start()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, _reload, server)
        where = ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in server.addresses)
        _log.info("appliance certificate: serial %s", server.door.contexts.identity.serial)
        if missing := server.missing_files:
            text = "pages are not live, this installation lacks %s: `make portal-files`, then install it again"
            _log.warning(text, ", ".join(missing))
        print(f"gm: serving on {where}", file=sys.stderr, flush=True)
        await server.run(stop)
        _log.info("stopping")
    finally:
        await server.close()


def _reload(server: Server) -> None:
    try:
        server.reload()
    except GatelinkError as error:
        _log.error("the certificates were not loaded: %s", error)

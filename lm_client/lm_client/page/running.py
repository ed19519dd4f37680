"""The page as a process: started when it is not there, found when it is, gone when nobody has looked for a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

import msgspec
import uvicorn

from lm_client.exceptions import AgentError
from lm_client.home import Home
from lm_client.host import here
from lm_client.launching import launch
from lm_client.locks import Lock, is_held

from .app import Pages
from .desk import Desk
from .guard import ENTRANCE
from .keys import Door, make_word

UNUSED_S: Final = 1800.0
START_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.05
_LOOK_S: Final = 30.0


class Whereabouts(msgspec.Struct, frozen=True):
    """``page.json``. Whoever can read it can open the page."""

    port: int
    key: bytes


def link_to_page(home: Home) -> str:
    """Return a link that opens the page once, starting its process if there is none. Blocks. Raises AgentError."""
    home.ensure()
    if not is_held(home.page_lock_path):
        with contextlib.suppress(FileNotFoundError):
            home.page_path.unlink()
        launch(
            [sys.executable, "-m", "lm_client.page", str(home.path)]
        ).returncode = 0  # it stays, and is nobody's child
    deadline = time.monotonic() + START_TIMEOUT_S
    while (found := home.load(home.page_path, Whereabouts)) is None or not is_held(home.page_lock_path):
        if time.monotonic() > deadline:
            raise AgentError(f"the page did not start within {START_TIMEOUT_S:.0f} s: try `lm ui --foreground`")
        time.sleep(_POLL_S)
    return f"http://127.0.0.1:{found.port}{ENTRANCE}?word={make_word(found.key, time.time())}"


def serve(home: Home, unused_s: float = UNUSED_S) -> int:
    """Be the page until nobody has looked for ``unused_s``; return the exit status. 1: there is one already."""
    here.keep_secrets_in_memory()  # a password passes through on its way to the agent
    home.ensure()
    try:
        lock = Lock(home.page_lock_path)
    except BlockingIOError:
        return 1
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        try:
            asyncio.run(serve_at(home, listening, unused_s))
        finally:
            home.page_path.unlink(missing_ok=True)
            lock.release()
    return 0


async def serve_at(home: Home, listening: socket.socket, unused_s: float) -> None:
    """Serve on a listening socket; cancelling ends it."""
    key = secrets.token_bytes(32)
    port = int(listening.getsockname()[1])
    pages = Pages(Desk(home), Door(key), port)
    settings = uvicorn.Config(
        pages.guarded,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        h11_max_incomplete_event_size=32 * 1024,
        limit_concurrency=100,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(settings)
    serving = asyncio.ensure_future(server.serve([listening]))
    home.write(home.page_path, msgspec.json.encode(Whereabouts(port, key)))
    try:
        while not serving.done():
            await asyncio.wait({serving}, timeout=min(_LOOK_S, unused_s))
            if time.monotonic() - pages.last_used > unused_s:
                server.should_exit = True
                await serving
    finally:
        server.should_exit = True
        await asyncio.wait({serving})


def main() -> int:
    """Entry of the background process."""
    home = Home(Path(sys.argv[1]))
    home.ensure()
    # Mistakes in the program alone: what the user does stands in agent.log.
    log = RotatingFileHandler(home.path / "page.log", maxBytes=256 * 1024, backupCount=1, delay=True)
    logging.basicConfig(handlers=[log], level=logging.ERROR, format="%(asctime)s %(name)s %(message)s")
    return serve(home)

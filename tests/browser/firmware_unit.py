"""Program: a new unit with system slots and its page on a port of this machine; prints the page's URL and the secret.

Room for a bundle is 2 MB. An installation is refused when the file `refuse` appears in the directory. Ends by SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn

from inproc.sm_site import Site, eventually
from sitemanager.core.updates import System
from sitemanager.host.page_secret import PageSecret
from sitemanager.host.slots.fake import FakeSlots
from sitemanager.web.app import application
from sitemanager.web.daemon import DaemonLink


async def main(directory: Path) -> None:
    """Run until the file `end` appears in the directory."""
    site = Site(directory)
    slots = site.slots = FakeSlots(directory / "update", System("A", "0.1.0"))
    slots.room_bytes = 2_000_000
    config = uvicorn.Config(application(DaemonLink(site.runtime)), port=0, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    async with site.running():
        await eventually((site.runtime / "sm.sock").exists, "the local socket")
        serving = asyncio.create_task(server._serve())
        await eventually(lambda: server.started, "the page")
        port = server.servers[0].sockets[0].getsockname()[1]
        sys.stdout.write(f"http://127.0.0.1:{port} {PageSecret(site.state.directory).secret()}\n")
        sys.stdout.flush()
        while not (directory / "end").exists():
            if (directory / "refuse").exists() and slots.result.state == "installing":
                slots.finish("this update is not signed by whom this gateway trusts")
            await asyncio.sleep(0.05)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

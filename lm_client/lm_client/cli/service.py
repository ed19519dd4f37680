"""``lm service``: the part with rights."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Final

import click

from lm_client.config import DEFAULT_SOCKET
from lm_client.service.listener import Listener

_HOSTS: Final = "/etc/hosts"


@click.command("service")
@click.option("--socket", "path", default=DEFAULT_SOCKET, show_default=True, metavar="PATH", help="Where to listen.")
@click.option("--allow-uid", "uids", multiple=True, type=click.IntRange(0), help="A user who may have tunnels.")
@click.option("--allow-group", "group", default="", metavar="NAME", help="A group that may [gatelink].")
@click.option(
    "--names",
    "how",
    type=click.Choice(["auto", "resolved", "hosts"]),
    default="auto",
    show_default=True,
    help="Where the devices' names are made known: systemd-resolved, else /etc/hosts.",
)
@click.option("--hosts-file", default=_HOSTS, show_default=True, metavar="FILE", help="Which hosts file.")
@click.option("--allow-sid", "sids", multiple=True, metavar="SID", help="Windows: the only users who may [all].")
@click.option("--clean-up", is_flag=True, help="Only remove what a service that was killed has left.")
def service_command(
    path: str, uids: tuple[int, ...], group: str, how: str, hosts_file: str, sids: tuple[str, ...], clean_up: bool
) -> None:
    """Open adapters and set routes for users without rights. Needs root; started by the service manager."""
    if sys.platform == "win32":
        from lm_client.host.windows import service

        service.run(Path(path), sids, _say, clean_up=clean_up)
        return
    from lm_client.host.linux import LinuxNetwork
    from lm_client.host.linux_names import HostsFile, Resolved, resolved_is_in_use
    from lm_client.service.callers import Callers

    absolute = Path(path).absolute()
    mark = f"gatelink-lm-{hashlib.sha256(os.fsencode(absolute)).hexdigest()[:8]}"
    network = LinuxNetwork(mark)
    hosts = HostsFile(mark, Path(hosts_file))
    use_resolved = how == "resolved" or (how == "auto" and resolved_is_in_use())
    names = Resolved() if use_resolved else hosts
    if clean_up:
        for left in (*network.clean_up(), *hosts.clean_up()):
            _say(f"removed {left}")
        return
    listener = Listener(absolute, network, names, Callers(uids, group), _say)

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        listener.run()
    finally:
        listener.close()


def _say(text: str) -> None:
    if sys.stderr is not None:  # a Windows service has none
        sys.stderr.write(f"lm service: {text}\n")
        sys.stderr.flush()

"""How answers are shown: devices for people, everything as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from lm_client.core.local import DeviceView


def show_json(answer: Any) -> None:
    """Print structs as JSON that people can read, too."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(answer)))


def show_devices(devices: Sequence[DeviceView]) -> None:
    """Print devices with the address and the name to type."""
    width = max((len(device.name) for device in devices), default=0)
    long = max((len(device.hostname) for device in devices), default=0)
    for device in devices:
        services = ", ".join(map(str, device.services)) or "no service"
        mark = {True: "+", False: "!", None: " "}[device.reachable]
        click.echo(f" {mark}{device.use or '-':15}  {device.name:{width}}  {device.hostname:{long}}  {services}")
        if device.tty:
            click.echo(f"  {'':15}  {'':{width}}  serial port {device.tty}")
        if device.why:
            click.echo(f"  {'':15}  {'':{width}}  {'not ' if device.use else 'unreachable: '}{device.why}")

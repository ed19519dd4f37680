"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
import msgspec

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """The option of every list command."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def show(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows of one kind; ``empty`` is said (on stderr) where there are none."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    if not rows:
        click.echo(empty, err=True)
        return
    titles = list(rows[0])
    cells = [[_text(title, row[title]) for title in titles] for row in rows]
    heads = [title.removesuffix("_at").replace("_", " ") for title in titles]
    widths = [max(len(head), *(len(row[column]) for row in cells)) for column, head in enumerate(heads)]
    for line in (heads, *cells):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show_one(fields: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the fields of one thing, a line each."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(fields), indent=2).decode())
        return
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        click.echo(f"{name.removesuffix('_at').replace('_', ' '):<{width}}  {_text(name, value)}".rstrip())


def moment(unix_time: float | None) -> str:
    """Return a time as people read it, in the machine's time zone."""
    if unix_time is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_time))


def _text(name: str, value: Any) -> str:
    if name.endswith("_at") and isinstance(value, float | int):
        return moment(value)
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "-"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)

"""Writes settings as TOML: plain keys, then tables, then arrays of tables; what lies deeper is inline. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec


def toml_text(values: Mapping[str, Any]) -> str:
    """Return TOML of values that ``msgspec.to_builtins`` made; ``None`` is left out, TOML has none."""
    return "\n".join(_rows(values)) + "\n"


def _rows(values: Mapping[str, Any]) -> Iterator[str]:
    present = {key: value for key, value in values.items() if value is not None}
    tables = {key: value for key, value in present.items() if isinstance(value, dict)}
    arrays = {key: value for key, value in present.items() if _is_array_of_tables(value)}
    for key, value in present.items():
        if key not in tables and key not in arrays:
            yield f"{key} = {_inline(value)}"
    for key, table in tables.items():
        yield from ("", f"[{key}]", *_entries(table))
    for key, array in arrays.items():
        for table in array:
            yield from ("", f"[[{key}]]", *_entries(table))


def _entries(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key} = {_inline(value)}" for key, value in table.items() if value is not None)


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict)


def _inline(value: Any) -> str:
    """A JSON string is a TOML basic string (DEL apart, which must be escaped)."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(element) for element in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(_entries(value)) + " }" if value else "{}"
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")

"""Settings that people write: typed, unknown keys refused, every mistake told at once with its key path. No I/O.

A path reads as the file does: ``proxies[1].port``. What is told never repeats a value: it may be a password.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


def convert(values: Mapping[str, Any], kind: type[S], path: str = "") -> tuple[S, list[str]]:
    """Return the settings in ``values`` and every mistake; a mistaken key keeps its default.

    So that what is checked beyond the types is told in the same go. Every key of ``kind`` must have a default.
    """
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    found: list[str] = []
    good: dict[str, Any] = {}
    for key, value in values.items():
        where = _below(path, key)
        if key not in fields:
            found.append(_unknown(where, fields))
        elif _is_struct(inner := _bare(fields[key])) and isinstance(value, dict) and _is_complete(inner):
            good[key], below = convert(value, inner, where)
            found += below
        elif below := list(mistakes(value, fields[key], where)):
            found += below
        else:
            good[key] = msgspec.convert(value, fields[key])
    return kind(**good), found


def mistakes(value: Any, kind: Any, path: str = "") -> Iterator[str]:
    """Every mistake in ``value`` as a ``kind``, not the first alone: descends to where it is wrong."""
    inner = _bare(kind)
    if _is_struct(inner):
        if isinstance(value, dict):
            yield from _struct_mistakes(value, inner, path)
        else:
            yield _at(path, "expected a table")
        return
    below: list[str] = []
    if get_origin(inner) in (tuple, list) and isinstance(value, list):
        element = get_args(inner)[0]
        for index, content in enumerate(value):
            below += mistakes(content, element, f"{path}[{index}]")
    elif get_origin(inner) is dict and isinstance(value, dict):
        for key, content in value.items():
            below += mistakes(content, get_args(inner)[1], _below(path, key))
    if below:
        yield from below
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield _at(path, _in_words(str(error)))


def _struct_mistakes(value: dict[str, Any], kind: Any, path: str) -> Iterator[str]:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key, content in value.items():
        if key in fields:
            yield from mistakes(content, fields[key].type, _below(path, key))
        else:
            yield _unknown(_below(path, key), fields)
    for name, field in fields.items():
        if field.required and name not in value:
            yield _at(path, f"{name} is missing")


def _bare(kind: Any) -> Any:
    """The type behind its limits (``Annotated``) and behind 'or nothing'."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
            continue
        if get_origin(kind) in (Union, types.UnionType):
            others = [choice for choice in get_args(kind) if choice is not type(None)]
            if len(others) == 1:
                kind = others[0]
                continue
        return kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _is_complete(kind: Any) -> bool:
    return not any(field.required for field in msgspec.structs.fields(kind))


def _below(path: str, key: object) -> str:
    name = str(key) if str(key).isprintable() else ascii(key)
    return f"{path}.{name}" if path else name


def _at(path: str, text: str) -> str:
    return f"{path}: {text}" if path else text


def _unknown(path: str, known: Mapping[str, object]) -> str:
    return f"{path}: unknown key; known are {', '.join(known)}"


def _in_words(text: str) -> str:
    """``msgspec`` adds where in the value the mistake is; the path says it already."""
    return text.split(" - at ")[0].replace("`", "")

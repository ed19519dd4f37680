"""Pages of long lists by keyset: a cursor says behind which row to go on, so that page 200 costs what page 1 does.

A cursor is a position in an order, no secret and no right: what a page shows is filtered anew each time.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, Row, Select, and_, func, or_
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import InstrumentedAttribute

from gatelink.exceptions import InputError

MAX_ITEMS: Final = 500
_MAX_WORDS: Final = 8
T = TypeVar("T")
Column: TypeAlias = ColumnElement[Any] | InstrumentedAttribute[Any]


class Paging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of a list is wanted."""

    search: Annotated[str, Meta(max_length=200, description="Words that all must occur, in any order and case.")] = ""
    cursor: Annotated[str, Meta(max_length=2048, description="`next` of the page before; empty: the first page.")] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_ITEMS, description="How many items at most.")] = 50


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list."""

    items: tuple[T, ...]
    next: str | None
    """Cursor of the next page; None: this is the last one."""
    total: int | None = None
    """Of everything that the filters let through; None where counting would take too long."""


class Rows(msgspec.Struct, frozen=True):
    """A page before its rows are views."""

    rows: Sequence[Row[Any]]
    next: str | None
    total: int | None


def fetch(
    session: Session,
    query: Select[Any],
    paging: Paging,
    *keys: Column,
    descending: bool = False,
    count: bool = True,
) -> Rows:
    """Return a page of ``query``, ordered by ``keys``, which must tell any two rows apart."""
    total = session.scalar(query.with_only_columns(func.count(), maintain_column_froms=True)) if count else None
    if paging.cursor:
        query = query.where(_behind(keys, _read_cursor(paging.cursor, keys), descending=descending))
    query = query.add_columns(*keys).order_by(*(key.desc() if descending else key for key in keys))
    rows = session.execute(query.limit(paging.limit + 1)).all()
    more = len(rows) > paging.limit
    rows = rows[: paging.limit]
    return Rows(rows, _make_cursor(rows[-1][-len(keys) :]) if more else None, total)


def matches(search: str, *columns: Column) -> ColumnElement[bool]:
    """Every word of ``search`` occurs in one of the columns."""
    words = search.split()[:_MAX_WORDS]
    return and_(True, *(or_(*(column.icontains(word, autoescape=True) for column in columns)) for word in words))


def _behind(keys: Sequence[Column], values: Sequence[Any], *, descending: bool) -> ColumnElement[bool]:
    first, value = keys[0], values[0]
    beyond: ColumnElement[bool] = first < value if descending else first > value
    if len(keys) == 1:
        return beyond
    # The bound on the first key alone is what an index can use.
    bound = first <= value if descending else first >= value
    return and_(bound, or_(beyond, _behind(keys[1:], values[1:], descending=descending)))


def _make_cursor(values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(list(values))).rstrip(b"=").decode()


def _read_cursor(cursor: str, keys: Sequence[Column]) -> list[Any]:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = msgspec.msgpack.decode(data, type=list[str | int | float])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        values = []
    kinds = [key.type.python_type for key in keys]
    if len(values) != len(keys) or not all(map(_fits, values, kinds)):
        raise InputError("the cursor is not one of this list: begin again with the first page")
    return values


def _fits(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, float | int)
    # What SQLite keeps in an integer.
    return isinstance(value, kind) and (not isinstance(value, int) or -(2**63) <= value < 2**63)

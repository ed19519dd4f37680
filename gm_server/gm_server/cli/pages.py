"""Whole lists: the acts give them page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from gm_server.acts.paging import MAX_ITEMS, Page, Paging

T = TypeVar("T")


def every(page: Callable[[Paging], Page[T]], search: str = "") -> Iterator[T]:
    """Go over all items of a list that is read within one transaction."""
    cursor: str | None = ""
    while cursor is not None:
        found = page(Paging(search=search, cursor=cursor, limit=MAX_ITEMS))
        yield from found.items
        cursor = found.next


def first(page: Callable[[Paging], Page[T]], limit: int) -> Iterator[T]:
    """Go over the first ``limit`` items of a list."""
    for count, item in enumerate(every(page)):
        if count == limit:
            return
        yield item

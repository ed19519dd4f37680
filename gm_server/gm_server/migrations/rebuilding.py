"""Gives a table its next form, with everything that is in it.

SQLite cannot alter constraints: the new table is made beside the old one, filled, and takes its name. Foreign keys are
not followed meanwhile (``Database.migration``); they are checked at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op


def rebuild(name: str, fill: Mapping[str, Any], *elements: sa.schema.SchemaItem) -> None:
    """Replace the table ``name`` by one of these columns and constraints; ``fill`` is for columns that it had not."""
    connection = op.get_bind()
    old = {column["name"] for column in sa.inspect(connection).get_columns(name)}
    for index in sa.inspect(connection).get_indexes(name):
        if index["name"] is not None and not index["name"].startswith("sqlite_"):
            op.drop_index(index["name"], name)
    new = op.create_table(f"new_{name}", *elements)
    values = {
        column.name: sa.column(column.name) if column.name in old else sa.literal(fill[column.name])
        for column in new.columns
        if column.name in old or column.name in fill
    }
    connection.execute(new.insert().from_select(list(values), sa.select(*values.values()).select_from(sa.table(name))))
    op.drop_table(name)
    op.rename_table(f"new_{name}", name)

"""The base of all tables. Times are Unix seconds; ids are given by ``ids.new_id``."""

from __future__ import annotations

from sqlalchemy import Double, ForeignKey, LargeBinary, MetaData, String
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {bytes: LargeBinary, float: Double, str: String(128)}  # noqa: RUF012 - SQLAlchemy's way


def belongs_to(column: str) -> ForeignKey:
    """What belongs to a record goes with it."""
    return ForeignKey(column, ondelete="CASCADE")

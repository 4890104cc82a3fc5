"""Finds objects by a part of their texts, with the store's index of three-letter pieces.

SQLite has it as an FTS5 table with the `trigram` tokenizer, PostgreSQL as a GIN index on an array of pieces. Either
index gives all objects that hold the part and may give more, whatever its notion of upper and lower case: the exact
condition stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Table, Text, bindparam, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from onebyone.config_store import tables

SHORTEST = 3
"""Characters of a part that the index can find."""


class MayHold(FunctionElement[bool]):
    """Whether the pieces of a row's texts are those of a part of at least `SHORTEST` characters."""

    # No type: SQLAlchemy would compare a boolean with 1 on SQLite, which then reads all rows.
    inherit_cache = True

    def __init__(self, table: Table, member_id: int, part: str) -> None:
        super().__init__(
            table.c.id, bindparam(None, member_id, BigInteger, unique=True), bindparam(None, part, Text, unique=True)
        )


def indexed(table: Table, column: str | None) -> bool:
    """Whether `MayHold` knows this text column."""
    return column in tables.TEXTS.get(table, ())


def scope(column: ColumnElement[int], where: Sequence[ColumnElement[bool]]) -> ColumnElement[int]:
    """The column that limits a read with these conditions to a member.

    Beside `MayHold` it is an expression, because all other indexes begin with the column itself: SQLite thinks that a
    member has ten rows, and would read them all to look each one up among those that may hold the part.
    """
    held = any(isinstance(part, MayHold) for condition in where for part in visitors.iterate(condition))
    return column + literal_column("0") if held else column


@compiles(MayHold, "sqlite")
def _sqlite(element: MayHold, compiler: SQLCompiler, **options: Any) -> str:
    row_id, _, part = element.clauses
    pieces = f"{row_id.table.name}_pieces"
    phrase = f"'\"' || replace({compiler.process(part, **options)}, '\"', '\"\"') || '\"'"
    return f"{compiler.process(row_id, **options)} IN (SELECT rowid FROM {pieces} WHERE {pieces} MATCH {phrase})"  # noqa: S608


@compiles(MayHold, "postgresql")
def _postgresql(element: MayHold, compiler: SQLCompiler, **options: Any) -> str:
    row_id, member, part = element.clauses
    table = row_id.table
    texts = " || chr(10) || ".join(
        ["CAST(found.id AS TEXT)", *(f"coalesce(found.{name}, '')" for name in tables.TEXTS[table])]
    )
    wanted = f"onebyone_pieces({compiler.process(member, **options)}, {compiler.process(part, **options)})"
    # An array is made before the rest is planned: no guess at its size can lead past the index.
    found = f"SELECT found.id FROM {table.name} AS found WHERE onebyone_pieces(found.member_id, {texts}) @> {wanted}"  # noqa: S608
    return f"{compiler.process(row_id, **options)} = ANY (ARRAY({found}))"

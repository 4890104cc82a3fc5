"""Finds objects by a part of their texts through the store's trigram index.

On SQLite the index is an FTS5 table with the `trigram` tokenizer, on PostgreSQL a GIN index on an array of trigrams.
Either returns every object that contains the part and may return more, because their ideas of upper and lower case
differ: a query states the exact condition as well.
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

TRIGRAM_LENGTH = 3
"""Characters that a part must have: a shorter one holds no trigram to look up."""


class TrigramMatch(FunctionElement[bool]):
    """Whether the indexed texts of a row hold all trigrams of a part of at least `TRIGRAM_LENGTH` characters."""

    # Without a type: SQLAlchemy would compare a boolean with 1 on SQLite, which then reads all rows.
    inherit_cache = True

    def __init__(self, table: Table, member_id: int, part: str) -> None:
        super().__init__(
            table.c.id, bindparam(None, member_id, BigInteger, unique=True), bindparam(None, part, Text, unique=True)
        )


def has_trigram_index(table: Table, column: str | None) -> bool:
    """Return whether `TrigramMatch` covers this text column."""
    return column in tables.SEARCHED_TEXTS.get(table, ())


def tenant_expression(column: ColumnElement[int], where: Sequence[ColumnElement[bool]]) -> ColumnElement[int]:
    """Return what to compare with the member's id in a read with these conditions.

    That is `column`, but next to a `TrigramMatch` an expression that no other index starts with: SQLite estimates ten
    rows a member, and would read all of them to look each one up among the matches.
    """
    matched = any(isinstance(part, TrigramMatch) for condition in where for part in visitors.iterate(condition))
    return column + literal_column("0") if matched else column


@compiles(TrigramMatch, "sqlite")
def _compile_for_sqlite(element: TrigramMatch, compiler: SQLCompiler, **options: Any) -> str:
    row_id, _, part = element.clauses
    index = f"{row_id.table.name}_pieces"
    phrase = f"'\"' || replace({compiler.process(part, **options)}, '\"', '\"\"') || '\"'"
    return f"{compiler.process(row_id, **options)} IN (SELECT rowid FROM {index} WHERE {index} MATCH {phrase})"  # noqa: S608


@compiles(TrigramMatch, "postgresql")
def _compile_for_postgresql(element: TrigramMatch, compiler: SQLCompiler, **options: Any) -> str:
    row_id, member, part = element.clauses
    table = row_id.table
    texts = " || chr(10) || ".join(
        ["CAST(found.id AS TEXT)", *(f"coalesce(found.{name}, '')" for name in tables.SEARCHED_TEXTS[table])]
    )
    wanted = f"onebyone_pieces({compiler.process(member, **options)}, {compiler.process(part, **options)})"
    # PostgreSQL evaluates the array before it plans the rest, so that no wrong estimate of its size avoids the index.
    matches = f"SELECT found.id FROM {table.name} AS found WHERE onebyone_pieces(found.member_id, {texts}) @> {wanted}"  # noqa: S608
    return f"{compiler.process(row_id, **options)} = ANY (ARRAY({matches}))"

"""Counts rows, and finds where a page of a list begins, from stored counts instead of from the rows themselves.

Triggers keep the counts in the tables of `tables.ROW_COUNT_TABLES`, one row a block of ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, false, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import visitors
from sqlalchemy.sql.visitors import ExternallyTraversible

from onebyone.config_store import tables

Conditions = Sequence[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class PageStart:
    """Where a page of a list in order of ids begins."""

    total: int
    """Rows of the whole list."""
    bound: ColumnElement[bool]
    """Condition that selects the page's block and the blocks after it; always true in the first block."""
    skip: int
    """Rows within the bound that precede the page."""


async def count_rows(connection: AsyncConnection, table: Table, where: Conditions) -> int:
    """Return how many rows of a table meet the conditions."""
    block_counts = _block_counts_query(table, where)
    if block_counts is None:
        return int(await connection.scalar(select(func.count()).select_from(table).where(*where)) or 0)
    return await _sum_blocks(connection, block_counts)


async def _sum_blocks(connection: AsyncConnection, block_counts: Select[tuple[int, int]]) -> int:
    return int(await connection.scalar(select(func.sum(block_counts.subquery().c.objects))) or 0)


async def locate_page(
    connection: AsyncConnection, table: Table, where: Conditions, start: int, *, descending: bool
) -> PageStart | None:
    """Find the row at offset `start` of the list that meets the conditions, in order of ids.

    Return None when the stored counts do not distinguish all columns of the conditions.
    """
    block_counts = _block_counts_query(table, where)
    if block_counts is None:
        return None
    if start < tables.ROW_COUNT_BLOCK:
        return PageStart(await _sum_blocks(connection, block_counts), true(), start)
    blocks = block_counts.subquery()
    order = blocks.c.block.desc() if descending else blocks.c.block.asc()
    total = func.sum(blocks.c.objects).over()
    before = func.sum(blocks.c.objects).over(order_by=order) - blocks.c.objects
    placed = select(blocks.c.block, total.label("total"), before.label("before")).subquery()
    last_first = placed.c.block.asc() if descending else placed.c.block.desc()
    statement = select(placed).where(placed.c.before <= start).order_by(last_first).limit(1)
    row = (await connection.execute(statement)).first()
    if row is None:
        return PageStart(0, false(), 0)
    first_id = row.block * tables.ROW_COUNT_BLOCK
    bound = table.c.id < first_id + tables.ROW_COUNT_BLOCK if descending else table.c.id >= first_id
    return PageStart(int(row.total), bound, start - int(row.before))


def _block_counts_query(table: Table, where: Conditions) -> Select[tuple[int, int]] | None:
    """Select (block, objects) of the rows that meet the conditions; None unless all their columns are counted ones."""
    row_counts = tables.ROW_COUNT_TABLES.get(table)
    if row_counts is None:
        return None
    parts = (part for condition in where for part in visitors.iterate(condition))
    columns = {part.name for part in parts if isinstance(part, Column) and part.table is table}
    if not columns <= {*tables.ROW_COUNT_COLUMNS}:
        return None

    def counted_column(element: ExternallyTraversible, **_: Any) -> ExternallyTraversible | None:
        return row_counts.c[element.name] if isinstance(element, Column) and element.table is table else None

    conditions = [visitors.replacement_traverse(condition, {}, counted_column) for condition in where]
    by_advertiser = "advertiser_id" in columns
    advertiser = row_counts.c.advertiser_id != 0 if by_advertiser else row_counts.c.advertiser_id == 0
    query = select(row_counts.c.block, func.sum(row_counts.c.objects).label("objects"))
    return query.where(advertiser, *conditions).group_by(row_counts.c.block)

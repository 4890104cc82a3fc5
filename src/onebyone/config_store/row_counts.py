"""Counts objects, and finds the one at a place of a list, without reading those before it (`tables.TALLIES`)."""

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
class Place:
    """Where a page of a list in order of ids begins."""

    total: int
    """Objects of the whole list."""
    bound: ColumnElement[bool]
    """Condition of the ids from the page's block on; all ids when the page is near the beginning anyhow."""
    skip: int
    """Objects within the bound that stand before the page."""


async def total(connection: AsyncConnection, table: Table, where: Conditions) -> int:
    """How many rows of a table meet the conditions."""
    sums = _sums(table, where)
    if sums is None:
        return int(await connection.scalar(select(func.count()).select_from(table).where(*where)) or 0)
    return await _total(connection, sums)


async def _total(connection: AsyncConnection, sums: Select[tuple[int, int]]) -> int:
    return int(await connection.scalar(select(func.sum(sums.subquery().c.objects))) or 0)


async def place(
    connection: AsyncConnection, table: Table, where: Conditions, start: int, *, descending: bool
) -> Place | None:
    """The place number `start` of the list of all that meets the conditions; None when no tally tells them apart."""
    sums = _sums(table, where)
    if sums is None:
        return None
    if start < tables.BLOCK:
        return Place(await _total(connection, sums), true(), start)
    found = sums.subquery()
    order = found.c.block.desc() if descending else found.c.block.asc()
    whole = func.sum(found.c.objects).over()
    before = func.sum(found.c.objects).over(order_by=order) - found.c.objects
    placed = select(found.c.block, whole.label("whole"), before.label("before")).subquery()
    back = placed.c.block.asc() if descending else placed.c.block.desc()
    statement = select(placed).where(placed.c.before <= start).order_by(back).limit(1)
    row = (await connection.execute(statement)).first()
    if row is None:
        return Place(0, false(), 0)
    first = row.block * tables.BLOCK
    bound = table.c.id < first + tables.BLOCK if descending else table.c.id >= first
    return Place(int(row.whole), bound, start - int(row.before))


def _sums(table: Table, where: Conditions) -> Select[tuple[int, int]] | None:
    """Objects of each block that meet the conditions, when these are on tallied columns alone."""
    tally = tables.TALLIES.get(table)
    if tally is None:
        return None
    parts = (part for condition in where for part in visitors.iterate(condition))
    columns = {part.name for part in parts if isinstance(part, Column) and part.table is table}
    if not columns <= {*tables.TALLIED}:
        return None

    def moved(element: ExternallyTraversible, **_: Any) -> ExternallyTraversible | None:
        return tally.c[element.name] if isinstance(element, Column) and element.table is table else None

    same = [visitors.replacement_traverse(condition, {}, moved) for condition in where]
    owner = tally.c.advertiser_id != 0 if "advertiser_id" in columns else tally.c.advertiser_id == 0
    sums = select(tally.c.block, func.sum(tally.c.objects).label("objects")).where(owner, *same)
    return sums.group_by(tally.c.block)

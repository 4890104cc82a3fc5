"""Reads objects of a member: rows with the names that they refer to, and how they look on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.api.counts import Counts
from onebyone.api.entity import Entity, Values
from onebyone.api.query import Page


async def count(
    connection: AsyncConnection, entity: Entity, member_id: int, where: Sequence[ColumnElement[bool]]
) -> int:
    """How many objects match, over all pages."""
    table = entity.table
    found = select(func.count()).select_from(table).where(table.c[entity.scope] == member_id, *where)
    return int(await connection.scalar(found) or 0)


async def objects(
    connection: AsyncConnection,
    entity: Entity,
    member_id: int,
    where: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]] = (),
    page: Page | None = None,
    keys: Sequence[str] | None = None,
    counts: Counts | None = None,
) -> list[Values]:
    """Matching objects as the wire shows them; `keys` limits what each of them shows.

    Without `counts` fields of the report store are as if nothing was counted.
    """
    scope = entity.table.c[entity.scope] == member_id
    statement = _rows(entity).where(scope, *where).order_by(*order)
    if page is not None:
        statement = statement.offset(page.start).limit(page.size)
    rows = [dict(row) for row in (await connection.execute(statement)).mappings()]
    wanted = entity.shown if keys is None else keys
    asked = any(name in entity.derived for name in wanted)
    related = await entity.related(connection, rows) if rows and asked else {}
    if rows and any(name in entity.optional for name in wanted):
        for row_id, more in (await entity.related_if_asked(connection, rows)).items():
            related[row_id] |= more
    if counts is not None and rows and asked:
        for row_id, more in (await entity.counted(counts, rows, wanted)).items():
            related[row_id] |= more
    return [_present(entity, row, related.get(row["id"], {}), wanted) for row in rows]


@cache
def _rows(entity: Entity) -> Select[Any]:
    """All rows with the names that they refer to; made once, because aliases cost more than the query."""
    table = entity.table
    source: Any = table
    names = []
    for link in entity.links:
        target = link.target.alias(f"of_{link.field}")
        same = and_(target.c.member_id == table.c.member_id, target.c.id == table.c[link.column])
        source = source.outerjoin(target, same)
        names.append(target.c.name.label(_name_of(link.field)))
    return select(table, *names).select_from(source)


def _name_of(field: str) -> str:
    return f"{field}::name"


def _present(entity: Entity, row: Values, related: Values, keys: Sequence[str]) -> Values:
    shown = dict(related)
    for link in entity.links:
        target_id = row[link.column]
        if link.nested:
            shown[link.field] = None if target_id is None else {"id": target_id, "name": row[_name_of(link.field)]}
        if link.name_field is not None:
            shown[link.name_field] = row[_name_of(link.field)]
    millionths = entity.millionths
    found = {}
    for key in keys:
        if key in shown:
            found[key] = shown[key]
        elif key in entity.table.c:
            found[key] = row[key]
        else:
            value = row["doc"].get(key, entity.default(key))
            found[key] = _number(value) if key in millionths and value is not None else value
    return found


def _number(millionths: int) -> int | float:
    whole, rest = divmod(millionths, 10**6)
    return millionths / 10**6 if rest else whole

"""Reads objects of a member: rows with the names that they refer to, and the fields that they show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import row_counts, trigrams
from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.resources.entity import Entity, Values
from onebyone.resources.field_shapes import SCALARS, entity_shapes
from onebyone.resources.paging import Page, Query
from onebyone.resources.sorting import SortKey
from onebyone.settings import Settings


def shown_fields(entity: Entity, query: Query, warnings: list[str]) -> tuple[str, ...]:
    """Return the fields that each object shows, in output order; add a warning for each one that does not exist."""
    optional = entity.optional
    shown: Iterable[str] = [name for name in entity.output if name not in optional or query.flags.get(optional[name])]
    if not query.nested:
        shapes = entity_shapes(entity)
        shown = [name for name in shown if shapes[name].word in SCALARS]
    warnings += [f"fields: no such field: {name[:40]}" for name in query.fields if name not in entity.output]
    return tuple(name for name in shown if not query.fields or name in query.fields)


async def read_page(
    connection: AsyncConnection,
    entity: Entity,
    member_id: int,
    where: Sequence[ColumnElement[bool]],
    order: Sequence[SortKey],
    page: Page,
    keys: Sequence[str],
    delivery_stats: DeliveryStats,
    settings: Settings,
) -> tuple[int, list[Values]]:
    """Return how many objects match over all pages, and those of one page.

    The ids of the page are read first and alone, because an index holds them and skips what comes before the page.
    """
    table = entity.table
    matching = [trigrams.tenant_expression(table.c[entity.tenant_column], where) == member_id, *where]
    statement = select(table.c.id).where(*matching).order_by(*(key.clause for key in order)).limit(page.size)
    page_start = None
    if len(order) == 1:
        page_start = await row_counts.locate_page(
            connection, table, matching, page.start, descending=order[0].descending
        )
    if page_start is not None:
        ids = list(await connection.scalars(statement.where(page_start.bound).offset(page_start.skip)))
        total = page_start.total
    else:
        ids = list(await connection.scalars(statement.offset(page.start)))
        ended = len(ids) < page.size and (ids or not page.start)
        total = page.start + len(ids) if ended else await row_counts.count_rows(connection, table, matching)
    if not ids:
        return total, []
    objects = await read_objects(connection, entity, member_id, [table.c.id.in_(ids)], keys, delivery_stats, settings)
    return total, [objects[row_id] for row_id in ids if row_id in objects]


async def read_objects(
    connection: AsyncConnection,
    entity: Entity,
    member_id: int,
    where: Sequence[ColumnElement[bool]],
    keys: Sequence[str] | None,
    delivery_stats: DeliveryStats,
    settings: Settings,
) -> dict[int, Values]:
    """Return the matching objects by id, with the fields in `keys`; None for those that a read shows."""
    own = entity.table.c[entity.tenant_column] == member_id
    rows = [dict(row) for row in (await connection.execute(_rows_query(entity).where(own, *where))).mappings()]
    shown = entity.shown if keys is None else keys
    has_derived = any(name in entity.derived for name in shown)
    related = await entity.related(connection, rows) if rows and has_derived else {}
    if rows and any(name in entity.optional for name in shown):
        for row_id, more in (await entity.related_if_asked(connection, rows)).items():
            related[row_id] |= more
    if rows and has_derived:
        for row_id, more in (await entity.delivery_fields(delivery_stats, rows, shown)).items():
            related[row_id] |= more
    return {
        row["id"]: _present(entity, row, {**related.get(row["id"], {}), **entity.fields_of_row(row, settings)}, shown)
        for row in rows
    }


@cache
def _rows_query(entity: Entity) -> Select[Any]:
    """Return the query of rows and the names that they refer to; built once, because its aliases cost more than it."""
    table = entity.table
    source: Any = table
    names = []
    for link in entity.links:
        target = link.target.alias(f"of_{link.field}")
        same = and_(target.c.member_id == table.c.member_id, target.c.id == table.c[link.column])
        source = source.outerjoin(target, same)
        names.append(target.c.name.label(_name_label(link.field)))
    return select(table, *names).select_from(source)


def _name_label(field: str) -> str:
    return f"{field}::name"


def _present(entity: Entity, row: Values, related: Values, keys: Sequence[str]) -> Values:
    shown = dict(related)
    for link in entity.links:
        target_id = row[link.column]
        if link.nested:
            shown[link.field] = None if target_id is None else {"id": target_id, "name": row[_name_label(link.field)]}
        if link.name_field is not None:
            shown[link.name_field] = row[_name_label(link.field)]
    millionths = entity.millionths
    fields = {}
    for key in keys:
        if key in shown:
            fields[key] = shown[key]
        elif key in entity.table.c:
            fields[key] = row[key]
        else:
            value = row["doc"].get(key, entity.default(key))
            fields[key] = _number(value) if key in millionths and value is not None else value
    return fields


def _number(millionths: int) -> int | float:
    whole, rest = divmod(millionths, 10**6)
    return millionths / 10**6 if rest else whole

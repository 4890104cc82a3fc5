"""Names and codes of the objects in a report, as the configuration store has them now; a deleted object has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables

NamesById = Mapping[int, Mapping[str, str]]
"""Id -> field (`name`, `code`) -> text."""

IDS_PER_QUERY = 500
"""Ids of one statement: each is a parameter, of which SQLite may be built to allow only 999."""
_TABLES = {
    "advertiser": tables.advertiser,
    "line_item": tables.line_item,
    "insertion_order": tables.insertion_order,
    "publisher": tables.publisher,
    "site": tables.site,
    "placement": tables.placement,
    "pub_rule": tables.payment_rule,
}


async def load_object_names(connection: AsyncConnection, member_id: int, kind: str, ids: Iterable[int]) -> NamesById:
    """Return the names of the member's own objects with these ids; `kind` is that of a `Dimension.lookup`."""
    if kind in ("seller_member", "buyer_member"):
        query = select(tables.member.c.id, tables.member.c.name).where(tables.member.c.id == member_id)
        return {row.id: {"name": row.name} for row in await connection.execute(query)}
    table = _TABLES[kind]
    sorted_ids = sorted(ids)
    names: dict[int, Mapping[str, str]] = {}
    for start in range(0, len(sorted_ids), IDS_PER_QUERY):
        query = select(table.c.id, table.c.name, table.c.code).where(
            table.c.member_id == member_id, table.c.id.in_(sorted_ids[start : start + IDS_PER_QUERY])
        )
        for row in await connection.execute(query):
            names[row.id] = {"name": row.name, "code": row.code or ""}
    return names

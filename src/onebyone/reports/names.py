"""Names and codes of the objects in a report, as the configuration store has them now; a deleted object has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables

Names = Mapping[int, Mapping[str, str]]
"""Id -> field -> text."""

CHUNK = 500
_TABLES = {
    "advertiser": tables.advertiser,
    "line_item": tables.line_item,
    "insertion_order": tables.insertion_order,
    "publisher": tables.publisher,
    "site": tables.site,
    "placement": tables.placement,
    "pub_rule": tables.payment_rule,
}


async def find(connection: AsyncConnection, member_id: int, kind: str, ids: Iterable[int]) -> Names:
    """Names of the member's own objects of one kind; `kind` is that of a dimension's lookup."""
    if kind in ("seller_member", "buyer_member"):
        query = select(tables.member.c.id, tables.member.c.name).where(tables.member.c.id == member_id)
        return {row.id: {"name": row.name} for row in await connection.execute(query)}
    table = _TABLES[kind]
    wanted = sorted(ids)
    found: dict[int, Mapping[str, str]] = {}
    for start in range(0, len(wanted), CHUNK):
        query = select(table.c.id, table.c.name, table.c.code).where(
            table.c.member_id == member_id, table.c.id.in_(wanted[start : start + CHUNK])
        )
        for row in await connection.execute(query):
            found[row.id] = {"name": row.name, "code": row.code or ""}
    return found

"""Id, name, code and state of every object that a caller sees, without paging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.auth.caller import Caller
from onebyone.errors import Fault, Forbidden, Refused
from onebyone.resources import permissions
from onebyone.resources.entities import ENTITIES
from onebyone.resources.entity import Entity
from onebyone.runtime import sql

OBJECTS_MAX = 50_000
"""Objects of one look-up, which are all in memory at the same time: some 20 MB as JSON."""
TYPES = {
    entity.service.replace("-", "_"): entity
    for entity in ENTITIES
    if entity.service
    in ("advertiser", "insertion-order", "line-item", "publisher", "payment-rule", "placement", "site")
}
OWNERS = ("advertiser_id", "publisher_id")

Rows = list[dict[str, Any]]


async def look_up(
    store: AsyncEngine, caller: Caller, object_type: str = "", owners: Mapping[str, str] | None = None
) -> dict[str, Rows]:
    """Return type -> rows of one type, or of all, together at most `OBJECTS_MAX`.

    `owners` are ids of `OWNERS`: only what belongs to them is returned. Raise `Refused` for an unknown type or a
    malformed id.
    """
    if object_type not in ("", *TYPES):
        raise Refused(Fault("type", f"must be one of {', '.join(TYPES)}"))
    rows: dict[str, Rows] = {}
    room = OBJECTS_MAX
    for name, entity in TYPES.items():
        if object_type in ("", name):
            rows[name] = await _read_rows(store, entity, caller, owners or {}, room)
            room -= len(rows[name])
    return rows


async def _read_rows(store: AsyncEngine, entity: Entity, caller: Caller, owners: Mapping[str, str], limit: int) -> Rows:
    columns = entity.table.c
    try:
        where = permissions.visible_rows(entity, caller)
    except Forbidden:
        return []
    for owner in OWNERS:
        if owner in owners:
            column = columns.id if owner == f"{entity.table.name}_id" else columns.get(owner)
            text = owners[owner]
            if column is None:
                return []
            if not (text.isascii() and text.isdigit() and len(text) < 19):
                raise Refused(Fault(owner, "not an id"))
            where.append(column == int(text))
    owner_columns = [columns[name] for name in OWNERS if name in columns] or [columns.member_id]
    query = select(columns.id, columns.name, columns.code, *owner_columns, columns.state, columns.last_modified)
    query = query.where(columns.member_id == caller.member_id, *where).order_by(columns.id).limit(limit)
    async with sql.reading(store) as connection:
        return [{str(key): value for key, value in row.items()} for row in (await connection.execute(query)).mappings()]

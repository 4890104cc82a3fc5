"""Objects by their own code instead of their id: `code=`, `advertiser_code=`, `publisher_code=` and so on."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.errors import Fault, NotFound, Refused
from onebyone.resources.entity import Entity

NOBODY = "0"
"""An id that no object has."""

OWNERS: dict[str, Table] = {
    f"{table.name}_code": table
    for table in (
        tables.advertiser,
        tables.insertion_order,
        tables.line_item,
        tables.publisher,
        tables.site,
        tables.placement,
        tables.payment_rule,
    )
}
"""Query parameter -> the kind of owner that it names."""


async def resolve_owner_codes(
    connection: AsyncConnection, member_id: int, query: Mapping[str, str], *, strict: bool
) -> dict[str, str]:
    """The query string with the ids of the owners that it names by code.

    An unknown code is an error when `strict`, else an id that nothing has: lists are then empty.
    """
    found = dict(query)
    for name, table in OWNERS.items():
        code = found.pop(name, None)
        if code is None:
            continue
        column = f"{table.name}_id"
        ids = await _ids(connection, table, member_id, code, {} if name == "advertiser_code" else found)
        if strict and not ids:
            raise NotFound(table.name.replace("_", "-"), code[:100], key="code")
        found.setdefault(column, ",".join(map(str, ids)) or NOBODY)
    return found


async def resolve_code(
    connection: AsyncConnection, entity: Entity, member_id: int, query: Mapping[str, str]
) -> list[int]:
    """The id behind `code=` for a write. Raises `DomainError` when no object or more than one has the code."""
    ids = await _ids(connection, entity.table, member_id, query["code"], query)
    if not ids:
        raise NotFound(entity.service, query["code"][:100], key="code")
    if len(ids) > 1:
        raise Refused(Fault("code", f"{len(ids)} objects have this code, name their owner too"))
    return ids


async def _ids(
    connection: AsyncConnection, table: Table, member_id: int, code: str, query: Mapping[str, str]
) -> list[int]:
    owners = [
        table.c[name].in_([int(part) for part in query[name].split(",") if part.isascii() and part.isdigit()])
        for name in ("advertiser_id", "publisher_id")
        if name in query and name in table.c
    ]
    found = select(table.c.id).where(table.c.member_id == member_id, table.c.code_key == code.casefold(), *owners)
    return list(await connection.scalars(found.order_by(table.c.id)))

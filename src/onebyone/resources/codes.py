"""Objects and owners named by their own codes instead of their ids: `code`, `advertiser_code`, `publisher_code`, ..."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Table, false, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.auth.caller import Caller
from onebyone.config_store import tables
from onebyone.errors import Fault, NotFound, Refused
from onebyone.resources.entity import Entity
from onebyone.resources.fields import parse_id
from onebyone.resources.filters import VALUES_A_FILTER

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
"""Parameter -> the kind of owner that it names."""

_OWNER_COLUMNS = ("advertiser_id", "publisher_id", "site_id")
_NO_ID = "0"
"""An id that no object has."""


async def resolve_owner_codes(
    connection: AsyncConnection, caller: Caller, parameters: Mapping[str, str], *, strict: bool
) -> dict[str, str]:
    """Return the parameters with the ids of the owners that they name by code.

    When `strict`, raise `NotFound` for an unknown code; otherwise it becomes an id that no object has, and lists are
    empty. A code of an object that the caller does not see is unknown.
    """
    resolved = dict(parameters)
    for parameter, table in OWNERS.items():
        code = resolved.pop(parameter, None)
        if code is None:
            continue
        owners = {} if parameter == "advertiser_code" else resolved
        ids = await _find_ids(connection, table, caller, code, owners)
        if strict and not ids:
            raise NotFound(table.name.replace("_", "-"), code[:100], key="code")
        resolved.setdefault(f"{table.name}_id", ",".join(map(str, ids)) or _NO_ID)
    return resolved


async def resolve_code(
    connection: AsyncConnection, entity: Entity, caller: Caller, code: str, owners: Mapping[str, str]
) -> int:
    """Return the id of the object with this code. Raise `NotFound` when none has it, `Refused` when several do."""
    ids = await _find_ids(connection, entity.table, caller, code, owners)
    if not ids:
        raise NotFound(entity.service, code[:100], key="code")
    if len(ids) > 1:
        raise Refused(Fault("code", f"{len(ids)} objects have this code, name their owner too"))
    return ids[0]


async def _find_ids(
    connection: AsyncConnection, table: Table, caller: Caller, code: str, owners: Mapping[str, str]
) -> list[int]:
    if "\x00" in code:
        # No object has such a code, and PostgreSQL takes no text with a NUL.
        return []
    of_owners = [
        table.c[name].in_(parse_owner_ids(name, owners[name]))
        for name in _OWNER_COLUMNS
        if name in owners and name in table.c
    ]
    own = (table.c.member_id == caller.member_id, *_visible(table, caller))
    query = select(table.c.id).where(*own, table.c.code_key == code.casefold(), *of_owners)
    return list(await connection.scalars(query.order_by(table.c.id)))


def parse_owner_ids(name: str, text: str) -> list[int]:
    """Return the ids in the parameter of an owner. Raise `Refused` for a malformed one, or for too many."""
    ids = [parse_id(part.strip()) for part in text.split(",")]
    if len(ids) > VALUES_A_FILTER:
        raise Refused(Fault(name, f"at most {VALUES_A_FILTER} values"))
    if None in ids:
        raise Refused(Fault(name, f"not an id: {text[:40]!r}"))
    return [owner_id for owner_id in ids if owner_id is not None]


def _visible(table: Table, caller: Caller) -> list[ColumnElement[bool]]:
    """Return the condition that a limited caller sees a row, so that codes of others cannot be guessed."""
    if caller.limit is None:
        return []
    column, value = caller.limit
    if table.name == column.removesuffix("_id"):
        return [table.c.id == value]
    return [table.c[column] == value] if column in table.c else [false()]

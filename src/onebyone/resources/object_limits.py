"""How many objects of a kind a member may have, and has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.auth.caller import Caller
from onebyone.config_store import row_counts
from onebyone.errors import Fault, Forbidden, LimitReached, Refused
from onebyone.resources.context import EngineContext
from onebyone.resources.entity import Entity
from onebyone.runtime import sql


@dataclass(frozen=True, slots=True)
class ObjectLimit:
    """A limit, and how many objects of the member count towards it; None where their number has no limit."""

    object_type: str
    limit: int | None
    active: int | None
    inactive: int | None
    mapping_limits: Mapping[str, int] = field(default_factory=dict)
    """What one object may hold at most."""


_PROFILE = {
    **{"segment_targets": 400, "segment_group_targets": 400, "publisher_targets": 300, "site_targets": 100},
    **{"placement_targets": 250, "inventory_source_targets": 500, "platform_content_category_targets": 300},
    **{"content_category_targets": 300, "zip_targets": 4000},
}
_WITHOUT_SERVICE: Mapping[str, ObjectLimit] = {
    limit.object_type.replace("_", "-"): limit
    for limit in (
        ObjectLimit("creative", 10_000, 0, 0),
        ObjectLimit("campaign", 10_000, 0, 0),
        ObjectLimit("profile", None, None, None, _PROFILE),
        ObjectLimit("domain_list", None, None, None, {"domains": 30_000}),
    )
}
"""Object types that have limits in the documents and no service here: the documented and recorded limits, of nothing.

Clients read them before they create many objects.
"""
_LINE_ITEM = "campaign-group"
"""The name under which the documents ask for the limit of line items."""


async def require_room(connection: AsyncConnection, entity: Entity, member_id: int, limit: int | None) -> None:
    """Raise `LimitReached` when the member has no room for one more; runs inside the write that adds it."""
    if limit is None:
        return
    if await row_counts.count_rows(connection, entity.table, [entity.table.c.member_id == member_id]) >= limit:
        raise LimitReached(f"{entity.service}: the member has reached its limit of {limit}")


async def read_object_limits(
    context: EngineContext, entities: Mapping[str, Entity], caller: Caller, service: str = ""
) -> list[ObjectLimit]:
    """Return the limit of one service, or all limits of the `entities` (service -> entity) that have one.

    Raise `Forbidden` for a limited user, `Refused` for a service without a limit.
    """
    if caller.limit is not None:
        raise Forbidden("only users of the whole member may use object-limit")
    limits = {name: limit for name, limit in context.settings.limits.items() if name in entities}
    service = "line-item" if service == _LINE_ITEM else service
    if service and service not in {*limits, *_WITHOUT_SERVICE}:
        raise Refused(Fault("object_type", f"has no limit: {service[:40]!r}"))
    if service in _WITHOUT_SERVICE:
        return [_WITHOUT_SERVICE[service]]
    async with sql.reading(context.store) as connection:
        counted = [
            await _count(connection, entities[name], caller.member_id, limits[name])
            for name in ([service] if service else limits)
        ]
    return counted if service else [*counted, *_WITHOUT_SERVICE.values()]


async def _count(connection: AsyncConnection, entity: Entity, member_id: int, limit: int) -> ObjectLimit:
    table = entity.table
    active = func.sum(case((table.c.state == "active", 1), else_=0))
    query = select(func.count(), active).where(table.c.member_id == member_id)
    total, active_rows = (await connection.execute(query)).one()
    object_type = entity.service.replace("-", "_")
    return ObjectLimit(object_type, limit, active_rows or 0, total - (active_rows or 0))

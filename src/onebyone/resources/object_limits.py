"""How many objects of a kind a member may have: refused past it, and told by `/object-limit`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from onebyone.api.http.envelope import success
from onebyone.api.http.errors import unsupported_method
from onebyone.api.http.request import ApiRequest
from onebyone.config_store import row_counts
from onebyone.errors import Fault, Forbidden, LimitReached, Refused
from onebyone.resources.context import ApiContext
from onebyone.resources.entity import Entity
from onebyone.runtime import sql


async def require_room(connection: AsyncConnection, entity: Entity, member_id: int, limit: int | None) -> None:
    """Raises the documented error when the member has no room for one more; runs inside the write that adds it."""
    if limit is None:
        return
    if await row_counts.count_rows(connection, entity.table, [entity.table.c.member_id == member_id]) >= limit:
        raise LimitReached(f"{entity.service}: the member has reached its limit of {limit}")


class ObjectLimits:
    """`GET /object-limit?object_type=line_item`; without a type, all that have a limit."""

    def __init__(self, context: ApiContext, entities: dict[str, Entity]) -> None:
        self._context = context
        self._entities = entities

    async def __call__(self, request: ApiRequest) -> Response:
        """Raises `DomainError`."""
        if request.method != "GET":
            raise unsupported_method(request.method, request.service)
        if request.caller.limit is not None:
            raise Forbidden("only users of the whole member may use object-limit")
        limits = self._context.settings.limits
        wanted = request.query.get("object_type", "").replace("_", "-")
        services = [wanted] if wanted else [service for service in limits if service in self._entities]
        if wanted not in ("", *(set(limits) & set(self._entities))):
            raise Refused(Fault("object_type", f"has no limit: {wanted[:40]!r}"))
        async with sql.reading(self._context.store) as connection:
            shown = [
                await self._count(connection, self._entities[service], request.caller.member_id, limits[service])
                for service in services
            ]
        paging = {"count": None, "start_element": None, "num_elements": None}
        return success({**paging, "object-limits": shown}, "object-limits")

    async def _count(self, connection: AsyncConnection, entity: Entity, member_id: int, limit: int) -> dict[str, Any]:
        table = entity.table
        active = func.sum(case((table.c.state == "active", 1), else_=0))
        found = select(func.count(), active).where(table.c.member_id == member_id)
        total, alive = (await connection.execute(found)).one()
        return {
            "object_type": entity.service.replace("-", "_"),
            "limit": limit,
            "mapping_limits": [],
            "count_active": alive or 0,
            "count_inactive": total - (alive or 0),
            "count_total": total,
        }

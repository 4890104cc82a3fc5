"""`/lookup`: id, name, code and state of everything that a user sees, without paging."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import Response

from onebyone.api.http.envelope import success
from onebyone.api.http.errors import unsupported_method
from onebyone.api.http.request import ApiRequest
from onebyone.errors import Fault, Forbidden, Refused
from onebyone.resources import permissions
from onebyone.resources.context import ApiContext
from onebyone.resources.entities import ENTITIES
from onebyone.resources.entity import Entity
from onebyone.runtime import sql

OBJECTS_MAX = 50_000
TYPES = {
    entity.service.replace("-", "_"): entity
    for entity in ENTITIES
    if entity.service
    in ("advertiser", "insertion-order", "line-item", "publisher", "payment-rule", "placement", "site")
}
OWNERS = ("advertiser_id", "publisher_id")


class RecordCache:
    """`?type=line_item` is one type, `?advertiser_id=5` what belongs to one advertiser."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def __call__(self, request: ApiRequest) -> Response:
        """Raises `DomainError`."""
        if request.method != "GET":
            raise unsupported_method(request.method, "lookup")
        wanted = request.query.get("type", "")
        if wanted not in ("", *TYPES):
            raise Refused(Fault("type", f"must be one of {', '.join(TYPES)}"))
        results: dict[str, Any] = {}
        total = 0
        for name, entity in TYPES.items():
            if wanted in ("", name):
                rows = await self._rows(entity, request, OBJECTS_MAX - total)
                total += len(rows)
                results[name] = {"results": rows or None, "num_elements": len(rows)}
        return success({"num_elements": total, "start_element": 0, "results": results}, "results")

    async def _rows(self, entity: Entity, request: ApiRequest, room: int) -> list[dict[str, Any]]:
        columns = entity.table.c
        try:
            where = permissions.visible_rows(entity, request.caller)
        except Forbidden:
            return []
        for owner in OWNERS:
            if owner in request.query:
                column = columns.id if owner == f"{entity.table.name}_id" else columns.get(owner)
                text = request.query[owner]
                if column is None:
                    return []
                if not (text.isascii() and text.isdigit() and len(text) < 19):
                    raise Refused(Fault(owner, "not an id"))
                where.append(column == int(text))
        owners = [columns[name] for name in OWNERS if name in columns] or [columns.member_id]
        shown = select(columns.id, columns.name, columns.code, *owners, columns.state, columns.last_modified)
        shown = shown.where(columns.member_id == request.caller.member_id, *where).order_by(columns.id).limit(room)
        async with sql.reading(self._context.store) as connection:
            return [
                {str(key): value for key, value in row.items()} for row in (await connection.execute(shown)).mappings()
            ]

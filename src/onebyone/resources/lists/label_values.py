"""What the objects of a member are labelled with: `GET /label?show_values=true&object_type=advertiser`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from onebyone.api.http.request import ApiRequest
from onebyone.errors import Fault, Forbidden, Refused
from onebyone.resources import paging as queries
from onebyone.resources import permissions
from onebyone.resources.context import ApiContext
from onebyone.resources.entities import ENTITIES
from onebyone.runtime import sql

_LABELLED = {entity.table.name: entity for entity in ENTITIES if "labels" in entity.body.model_fields}


class LabelValues:
    """Adds `values` to the labels of one kind of object."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def __call__(self, request: ApiRequest, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Raises `DomainError`."""
        if not queries.flag(request.query, "show_values"):
            return rows
        entity = _LABELLED.get(request.query.get("object_type", ""))
        if entity is None:
            raise Refused(Fault("object_type", f"must be one of {', '.join(sorted(_LABELLED))} with show_values"))
        try:
            where = permissions.visible_rows(entity, request.caller)
        except Forbidden:
            return [{**row, "values": None} for row in rows]
        columns = entity.table.c
        labels = columns.doc["labels"]
        query = select(columns.id, labels).where(
            columns.member_id == request.caller.member_id, labels.as_string().is_not(None), *where
        )
        values: dict[int, list[dict[str, Any]]] = {}
        async with sql.reading(self._context.store) as connection:
            for object_id, found in await connection.execute(query.order_by(columns.id)):
                for label in found or ():
                    # The documents' sample has these ids as text.
                    values.setdefault(label["id"], []).append({"object_id": str(object_id), "value": label["value"]})
        return [{**row, "values": values.get(row["id"])} for row in rows]

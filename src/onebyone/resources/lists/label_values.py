"""The labels on the objects of a member, by label."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.auth.caller import Caller
from onebyone.errors import Fault, Forbidden, Refused
from onebyone.resources import permissions
from onebyone.resources.entities import ENTITIES
from onebyone.runtime import sql

_LABELLED = {entity.table.name: entity for entity in ENTITIES if "labels" in entity.body.model_fields}


async def read_label_values(store: AsyncEngine, caller: Caller, object_type: str) -> dict[int, list[dict[str, Any]]]:
    """Return label id -> `object_id` and `value` of each object of a type that has the label.

    A type that the caller may not see has no values. Raise `Refused` for a type without labels.
    """
    entity = _LABELLED.get(object_type)
    if entity is None:
        raise Refused(Fault("object_type", f"must be one of {', '.join(sorted(_LABELLED))} with show_values"))
    try:
        where = permissions.visible_rows(entity, caller)
    except Forbidden:
        return {}
    columns = entity.table.c
    labels = columns.doc["labels"]
    query = select(columns.id, labels).where(
        columns.member_id == caller.member_id, labels.as_string().is_not(None), *where
    )
    values: dict[int, list[dict[str, Any]]] = {}
    async with sql.reading(store) as connection:
        for object_id, labels_of_object in await connection.execute(query.order_by(columns.id)):
            for label in labels_of_object or ():
                # The documents' sample has these ids as text.
                values.setdefault(label["id"], []).append({"object_id": str(object_id), "value": label["value"]})
    return values

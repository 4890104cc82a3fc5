"""Describes an entity to callers: which fields its objects have, and by which of them a read can filter and sort."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from onebyone.resources import field_shapes, filters
from onebyone.resources.entity import Entity


def describe_fields(entity: Entity) -> list[dict[str, Any]]:
    """Return one entry for each field, and `search`, which only filters.

    Entries have `name`, `type`, `sort_by` and `filter_by`; some `read_only`, and nested objects their `fields`.
    """
    known = filters.entity_filters(entity)
    entries = []
    for name, shape in field_shapes.entity_shapes(entity).items():
        entry = _entry(name, shape, name in known)
        if name in entity.ranged:
            entry["filter_by"] = True
        if name not in entity.body.model_fields:
            entry["read_only"] = True
        entries.append(entry)
    return [*entries, {"name": "search", "type": "string", "sort_by": False, "filter_by": True}]


def _entry(name: str, shape: field_shapes.Shape, filtered: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "type": shape.word, "sort_by": filtered, "filter_by": filtered}
    if shape.model is not None:
        entry["fields"] = _nested(shape.model)
    return entry


def _nested(model: type[BaseModel]) -> list[dict[str, Any]]:
    return [_entry(name, field_shapes.field_shape(field), False) for name, field in model.model_fields.items()]

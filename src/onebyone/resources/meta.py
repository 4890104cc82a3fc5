"""GET /<service>/meta: which fields an object has, and by which of them a read can filter and sort."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from onebyone.resources import field_shapes, filters
from onebyone.resources.entity import Entity


def describe_fields(entity: Entity) -> list[dict[str, Any]]:
    """One entry a field; `search` is a field that only filters."""
    known = filters.entity_filters(entity)
    found = []
    for name, shape in field_shapes.entity_shapes(entity).items():
        entry = _entry(name, shape, name in known)
        if name in entity.ranged:
            entry["filter_by"] = True
        if name not in entity.body.model_fields:
            entry["read_only"] = True
        found.append(entry)
    return [*found, {"name": "search", "type": "string", "sort_by": False, "filter_by": True}]


def _entry(name: str, shape: field_shapes.Shape, filtered: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "type": shape.word, "sort_by": filtered, "filter_by": filtered}
    if shape.model is not None:
        entry["fields"] = _nested(shape.model)
    return entry


def _nested(model: type[BaseModel]) -> list[dict[str, Any]]:
    return [_entry(name, field_shapes.field_shape(field), False) for name, field in model.model_fields.items()]

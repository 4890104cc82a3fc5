"""Fields that were sent and are dropped: those that no object has, and those that callers cannot change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onebyone.reports.unknown_fields import WARNINGS_MAX, add_warnings
from onebyone.resources import field_shapes
from onebyone.resources.entity import Entity
from onebyone.resources.fields import Body


def warn_of_unknown_fields(
    entity: Entity, values: Mapping[str, Any], beside: Sequence[str], warnings: list[str]
) -> None:
    """Add a warning for each name beside the object, and each unknown field in it, up to `WARNINGS_MAX`."""
    known = {*entity.body.model_fields, *entity.output, "id", "member_id"}
    paths = [*beside, *(f"{entity.service}.{name}" for name in values if name not in known)]
    _collect_nested(entity.body, values, entity.service, paths)
    add_warnings(paths, warnings)


def warn_of_unwritable_fields(
    entity: Entity, values: Mapping[str, Any], shown: Mapping[str, Any], warnings: list[str]
) -> None:
    """Add a warning for each field of `shown` for which another value was sent."""
    changed = [name for name in values if name in shown and values[name] != shown[name]]
    warnings += [f"read-only field not used: {entity.service}.{name}" for name in changed]


def _collect_nested(model: type[Body], values: Mapping[str, Any], path: str, paths: list[str]) -> None:
    for name, value in values.items():
        field = model.model_fields.get(name)
        inner = None if field is None else field_shapes.field_shape(field).model
        if inner is None or not issubclass(inner, Body) or len(paths) > WARNINGS_MAX:
            continue
        several = isinstance(value, list)
        for place, element in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(element, dict):
                where = f"{path}.{name}.{place}" if several else f"{path}.{name}"
                known = {*inner.model_fields, *inner.shown}
                paths += [f"{where}.{key}" for key in element if key not in known]
                _collect_nested(inner, element, where, paths)

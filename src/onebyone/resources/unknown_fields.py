"""What a body says that no field takes: kept out, and named in the warnings of the answer."""

from __future__ import annotations

from onebyone.api.http.request_context import warn
from onebyone.resources import field_shapes
from onebyone.resources.entity import Entity, Values
from onebyone.resources.fields import Body

WARNINGS_MAX = 100


def warn_of(entity: Entity, body: Values) -> None:
    """Warns of every key beside the wrapper, of the object, and of the objects inside it."""
    found = [name for name in body if name != entity.service]
    given = body[entity.service]
    known = {*entity.body.model_fields, *entity.output, "id", "member_id"}
    found += [f"{entity.service}.{name}" for name in given if name not in known]
    _inside(entity.body, given, entity.service, found)
    for path in found[:WARNINGS_MAX]:
        warn(f"unknown field not used: {path[:200]}")


def _inside(model: type[Body], given: Values, path: str, found: list[str]) -> None:
    for name, value in given.items():
        field = model.model_fields.get(name)
        inner = None if field is None else field_shapes.field_shape(field).model
        if inner is None or not issubclass(inner, Body) or len(found) > WARNINGS_MAX:
            continue
        several = isinstance(value, list)
        for place, element in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(element, dict):
                where = f"{path}.{name}.{place}" if several else f"{path}.{name}"
                known = {*inner.model_fields, *inner.shown}
                found += [f"{where}.{key}" for key in element if key not in known]
                _inside(inner, element, where, found)

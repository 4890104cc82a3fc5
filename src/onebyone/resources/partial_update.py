"""How an update meets what is stored: fields replace, `append` merges arrays, some objects change field by field.

An array replaces the stored one, and its elements keep the stored fields that they do not name. Elements that have a
`deleted_by_null`, such as budget intervals, change one by one as soon as one of them names a stored id: the stored
elements that are not sent stay.
"""

from __future__ import annotations

from typing import Any

from onebyone.resources import field_shapes
from onebyone.resources.entity import Entity, Values
from onebyone.resources.fields import Body


def merge_update(entity: Entity, before: Values, sent: Values, *, append: bool) -> Values:
    """Return the fields of the object after the update, not validated yet."""
    merged = {**before, **sent}
    for name, value in sent.items():
        stored, partial = before.get(name), name in entity.partial
        if isinstance(stored, dict) and isinstance(value, dict) and partial:
            merged[name] = {**stored, **value}
        elif isinstance(stored, list) and isinstance(value, (list, dict)) and (partial or append):
            merged[name] = _merge_array(_deleted_by_null(entity, name), stored, _as_list(value), append=append)
    return merged


def unknown_elements(entity: Entity, before: Values, sent: Values) -> list[str]:
    """Return the paths of ids that no stored element has, in arrays whose elements change one by one."""
    paths = []
    for name in sent:
        if _deleted_by_null(entity, name) and isinstance(sent[name], (list, dict)):
            known = {_identity(element) for element in before.get(name) or ()}
            paths += [
                f"{name}.{place}.id"
                for place, element in enumerate(_as_list(sent[name]))
                if isinstance(element, dict) and element.get("id") is not None and _identity(element) not in known
            ]
    return paths


def sent_path(sent: Values, merged: Values, path: str) -> str:
    """Return the path of a fault in what was sent; `path` counts the elements of the merged array."""
    name, _, rest = path.partition(".")
    place, dot, field = rest.partition(".")
    if not place.isdecimal() or not isinstance(merged.get(name), list) or not isinstance(sent.get(name), (list, dict)):
        return path
    named = _identity(merged[name][int(place)])
    places = [number for number, element in enumerate(_as_list(sent[name])) if _identity(element) == named]
    return path if not places or int(place) in places else f"{name}.{places[-1]}{dot}{field}"


def _deleted_by_null(entity: Entity, name: str) -> tuple[str, ...]:
    field = entity.body.model_fields.get(name)
    model = None if field is None else field_shapes.field_shape(field).model
    return model.deleted_by_null if model is not None and issubclass(model, Body) else ()


def _merge_array(deleted_by_null: tuple[str, ...], before: list[Any], sent: list[Any], *, append: bool) -> list[Any]:
    known = {_identity(element) for element in before}
    if deleted_by_null and (append or any(_identity(element) in known for element in sent)):
        deleted = {_identity(element) for element in sent if _is_null(element, deleted_by_null)} & known
        return [element for element in _append_elements(before, sent) if _identity(element) not in deleted]
    if append:
        return _append_elements(before, sent)
    if deleted_by_null and len(before) == len(sent) == 1 and isinstance(sent[0], dict) and sent[0].get("id") is None:
        # It changes the only one there is.
        return [{**before[0], **sent[0]}]
    return _merge_elements(before, sent)


def _is_null(element: Any, names: tuple[str, ...]) -> bool:
    return isinstance(element, dict) and all(name in element and element[name] is None for name in names)


def _as_list(value: list[Any] | dict[str, Any]) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _merge_elements(before: list[Any], sent: list[Any]) -> list[Any]:
    """Return the sent elements, with what they do not name from the stored element of the same id."""
    known = {_identity(element): element for element in before}
    return [
        {**known.get(_identity(element), {}), **element} if isinstance(element, dict) else element for element in sent
    ]


def _append_elements(before: list[Any], sent: list[Any]) -> list[Any]:
    """Return all elements; a sent one with the id of an earlier one changes it, the others follow."""
    merged = list(before)
    places = {_identity(element): place for place, element in enumerate(merged)}
    for element in sent:
        place = places.get(_identity(element))
        if place is None:
            places[_identity(element)] = len(merged)
            merged.append(element)
        elif isinstance(element, dict):
            merged[place] = {**merged[place], **element}
    return merged


def _identity(element: Any) -> str:
    """Return what names an element in its array; an element without a name, which is new, has an own identity."""
    if not isinstance(element, dict):
        return f"={element!r}"
    for key in ("id", "brand_id", "code"):
        if element.get(key) is not None:
            return f"{key}={element[key]}"
    return f"@{id(element)}"

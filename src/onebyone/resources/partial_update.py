"""How an update meets what is stored: fields replace, `append` merges arrays, some objects change field by field."""

from __future__ import annotations

from typing import Any

from onebyone.resources.entity import Entity, Values


def merge_update(entity: Entity, before: Values, sent: Values, *, append: bool) -> Values:
    """Return the fields of the object after the update, not validated yet."""
    merged = {**before, **sent}
    for name in entity.partial & sent.keys():
        if isinstance(before.get(name), dict) and isinstance(sent[name], dict):
            merged[name] = {**before[name], **sent[name]}
        elif isinstance(before.get(name), list) and isinstance(sent[name], (list, dict)):
            merged[name] = _merge_elements(before[name], _as_list(sent[name]))
    if append:
        for name, value in sent.items():
            if isinstance(before.get(name), list) and isinstance(value, (list, dict)):
                merged[name] = _append_elements(before[name], _as_list(value))
    return merged


def _as_list(value: list[Any] | dict[str, Any]) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _merge_elements(before: list[Any], sent: list[Any]) -> list[Any]:
    """Return the sent elements; one with a known id, or the only one without an id, changes the stored element."""
    known = {_identity(element): element for element in before}
    only = before[0] if len(before) == len(sent) == 1 else {}
    merged = []
    for element in sent:
        stored = known.get(_identity(element), {})
        if isinstance(element, dict) and element.get("id") is None:
            stored = only
        merged.append({**stored, **element} if isinstance(element, dict) else element)
    return merged


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
    if not isinstance(element, dict):
        return f"={element!r}"
    named = element.get("id", element.get("brand_id"))
    return f"#{named}" if named is not None else f"@{id(element)}"

"""How a PUT meets what is there: fields replace, `append=true` merges arrays, some objects change in part."""

from __future__ import annotations

from typing import Any

from onebyone.resources.entity import Entity, Values


def merge(entity: Entity, before: Values, given: Values, *, append: bool) -> Values:
    """The fields of the object after the change, not validated."""
    found = {**before, **given}
    for name in entity.partial & given.keys():
        if isinstance(before.get(name), dict) and isinstance(given[name], dict):
            found[name] = {**before[name], **given[name]}
        elif isinstance(before.get(name), list) and isinstance(given[name], (list, dict)):
            found[name] = _in_part(before[name], given[name] if isinstance(given[name], list) else [given[name]])
    if append:
        for name, value in given.items():
            if isinstance(before.get(name), list) and isinstance(value, (list, dict)):
                found[name] = _appended(before[name], value if isinstance(value, list) else [value])
    return found


def _in_part(before: list[Any], given: list[Any]) -> list[Any]:
    """The given elements alone; one with a known id, or the only one without an id, changes what is there."""
    known = {_identity(element): element for element in before}
    only = before[0] if len(before) == len(given) == 1 else {}
    found = []
    for element in given:
        old = known.get(_identity(element), {})
        if isinstance(element, dict) and element.get("id") is None:
            old = only
        found.append({**old, **element} if isinstance(element, dict) else element)
    return found


def _appended(before: list[Any], given: list[Any]) -> list[Any]:
    """An element with the id of an earlier one changes it; the others follow."""
    found = list(before)
    places = {_identity(element): place for place, element in enumerate(found)}
    for element in given:
        place = places.get(_identity(element))
        if place is None:
            places[_identity(element)] = len(found)
            found.append(element)
        elif isinstance(element, dict):
            found[place] = {**found[place], **element}
    return found


def _identity(element: Any) -> str:
    if not isinstance(element, dict):
        return f"={element!r}"
    named = element.get("id", element.get("brand_id"))
    return f"#{named}" if named is not None else f"@{id(element)}"

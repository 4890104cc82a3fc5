"""The query string of a request: ids, page, and which fields of the objects are wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from onebyone.api.http.request_context import warn
from onebyone.errors import Fault, Refused, raise_faults
from onebyone.resources import field_shapes
from onebyone.resources.entity import Entity
from onebyone.resources.fields import MAX_ID

PAGE = 100
"""Default and greatest number of objects in one answer; more is cut without a word, as documented."""
IDS_A_REQUEST = 1000

_ID = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a list."""

    start: int
    size: int


def ids(query: Mapping[str, str]) -> list[int]:
    """The ids of `id=`, without repetition; empty without the parameter. Raises `DomainError`."""
    text = query.get("id")
    if text is None:
        return []
    found = [_identifier("id", part) for part in text.split(",")]
    if len(found) > IDS_A_REQUEST:
        raise Refused(Fault("id", f"at most {IDS_A_REQUEST} ids in one request"))
    return list(dict.fromkeys(found))


def is_list(query: Mapping[str, str]) -> bool:
    """Whether the answer is a list: anything but one single id."""
    return "id" not in query or "," in query["id"]


def _identifier(name: str, text: str) -> int:
    if not _ID.fullmatch(text.strip()) or int(text) > MAX_ID:
        raise Refused(Fault(name, f"not an id: {text[:40]!r}"))
    return int(text)


def page(query: Mapping[str, str]) -> Page:
    """The page asked for. Raises `DomainError`."""
    faults = []
    numbers = {}
    for name, default, least in (("start_element", 0, 0), ("num_elements", PAGE, 1)):
        text = query.get(name, "") or str(default)
        if not _ID.fullmatch(text) or not least <= int(text) <= MAX_ID:
            faults.append(Fault(name, f"must be an integer of at least {least}"))
        else:
            numbers[name] = int(text)
    raise_faults(faults)
    return Page(numbers["start_element"], min(numbers["num_elements"], PAGE))


def keys(entity: Entity, query: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that each object shows: all, those of `fields=`, or with `add_mappings=false` all that nest nothing."""
    hidden = {name for name, name_of_flag in entity.optional.items() if not flag(query, name_of_flag)}
    shown = tuple(name for name in entity.output if name not in hidden)
    if query.get("add_mappings", "").lower() in ("false", "0"):
        words = field_shapes.entity_shapes(entity)
        shown = tuple(name for name in shown if words[name].word in field_shapes.SCALARS)
    wanted = [name for name in (part.strip() for part in query.get("fields", "").split(",")) if name]
    for name in (name for name in wanted if name not in entity.output):
        warn(f"fields: no such field: {name[:40]}")
    return tuple(name for name in shown if name in wanted) if wanted else shown


def flag(query: Mapping[str, str], name: str) -> bool:
    """Whether a flag of the query string is set."""
    return query.get(name, "").lower() in ("true", "1")

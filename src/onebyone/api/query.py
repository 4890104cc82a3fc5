"""The query string of a read: ids, filters, sort and page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer

from onebyone.api.entity import Entity
from onebyone.api.errors import ApiError, Fault, refuse
from onebyone.api.exchange import warn
from onebyone.api.fields import MAX_ID

PAGE = 100
"""Default and greatest number of objects in one answer; more is cut without a word, as documented."""
IDS_A_REQUEST = 1000

_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
_KNOWN = {"id", "start_element", "num_elements", "sort", "current"}


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a list."""

    start: int
    size: int


def ids(query: Mapping[str, str]) -> list[int]:
    """The ids of `id=`, without repetition; empty without the parameter. Raises `ApiError`."""
    text = query.get("id")
    if text is None:
        return []
    found = [_identifier("id", part) for part in text.split(",")]
    if len(found) > IDS_A_REQUEST:
        raise ApiError("SYNTAX", f"id: at most {IDS_A_REQUEST} ids in one request")
    return list(dict.fromkeys(found))


def is_list(query: Mapping[str, str]) -> bool:
    """Whether the answer is a list: anything but one single id."""
    return "id" not in query or "," in query["id"]


def _identifier(name: str, text: str) -> int:
    if not _ID.fullmatch(text.strip()) or int(text) > MAX_ID:
        raise ApiError("SYNTAX", f"{name}: not an id: {text[:40]!r}")
    return int(text)


def page(query: Mapping[str, str]) -> Page:
    """The page asked for. Raises `ApiError`."""
    faults = []
    numbers = {}
    for name, default, least in (("start_element", 0, 0), ("num_elements", PAGE, 1)):
        text = query.get(name, "") or str(default)
        if not _ID.fullmatch(text) or not least <= int(text) <= MAX_ID:
            faults.append(Fault(name, f"must be an integer of at least {least}"))
        else:
            numbers[name] = int(text)
    refuse(faults)
    return Page(numbers["start_element"], min(numbers["num_elements"], PAGE))


def conditions(entity: Entity, query: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """Equality filters (a comma list is any of them); what is no filter is named in the warnings."""
    found: list[ColumnElement[bool]] = []
    columns = entity.filters
    for name, text in query.items():
        if name in columns:
            found.append(columns[name].in_([_value(name, columns[name], part) for part in text.split(",")]))
        elif name not in _KNOWN:
            warn(f"query parameter not used: {name[:40]}")
    return found


def _value(name: str, column: ColumnElement[Any], text: str) -> int | str:
    if isinstance(column.type, (BigInteger, Integer)):
        return _identifier(name, text)
    return text.casefold() if name == "code" else text


def order(entity: Entity, query: Mapping[str, str]) -> list[ColumnElement[Any]]:
    """`sort=name.asc,id.desc`; the id comes last of all, so that pages never overlap. Raises `ApiError`."""
    found: list[ColumnElement[Any]] = []
    columns = entity.filters
    for part in filter(None, query.get("sort", "").split(",")):
        name, _, direction = part.partition(".")
        if name not in columns or direction not in ("", "asc", "desc"):
            raise ApiError("SYNTAX", f"sort: cannot sort by {part[:40]!r}")
        found.append(columns[name].desc() if direction == "desc" else columns[name].asc())
    return [*found, entity.table.c.id.asc()]

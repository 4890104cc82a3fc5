"""The order of a list: by any field that can be filtered by, and by id in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement

from onebyone.errors import Fault, Refused
from onebyone.resources.entity import Entity
from onebyone.resources.filters import entity_filters


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column that a list is sorted by."""

    column: ColumnElement[Any]
    descending: bool = False

    @property
    def clause(self) -> ColumnElement[Any]:
        """The term of an ORDER BY."""
        return self.column.desc() if self.descending else self.column.asc()


def sort_keys(entity: Entity, sort: Sequence[str]) -> list[SortKey]:
    """Return the keys of `("name.asc", "id.desc")`. Raise `Refused` for a field or direction that does not exist.

    The id is the last key, so that pages never overlap, in the direction of the key before it, so that one index has
    both.
    """
    keys: dict[str, SortKey] = {}
    known = entity_filters(entity)
    for term in sort:
        name, _, direction = term.partition(".")
        if name not in known or direction.lower() not in ("", "asc", "desc"):
            raise Refused(Fault("sort", f"cannot sort by {term[:40]!r}"))
        keys.setdefault(name, SortKey(known[name].column, direction.lower() == "desc"))
        if name == "id":
            return list(keys.values())
    descending = next(reversed(keys.values())).descending if keys else False
    return [*keys.values(), SortKey(entity.table.c.id, descending)]

"""Owners that new objects are created under, named apart from the object or by fields of the object itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table

from onebyone.resources.entity import Entity, Values


def owner_tables(entity: Entity) -> tuple[Table, ...]:
    """Return the kinds of owner that a new object can be created under: a placement's publisher, then its site."""
    return () if entity.parent is None else tuple(link.target for link in entity.links if not link.nested)


def owner_columns(entity: Entity) -> tuple[str, ...]:
    """Return the columns that hold the ids of these owners."""
    return tuple(f"{table.name}_id" for table in owner_tables(entity))


def owner_parameters(entity: Entity) -> tuple[str, ...]:
    """Return the names by which these owners are given: `publisher_id`, `publisher_code` and the like."""
    return tuple(f"{table.name}_{key}" for table in owner_tables(entity) for key in ("id", "code"))


def take_owner(entity: Entity, values: Mapping[str, Any], owners: Mapping[str, str]) -> tuple[dict[str, str], Values]:
    """Return the owners of a new object, and its fields without a code that names one of them.

    Where `owners` names none, the object's own fields do: some clients send `publisher_id` there alone.
    """
    fields, named = dict(values), dict(owners)
    parameters = owner_parameters(entity)
    if named.keys().isdisjoint(parameters):
        name = next((name for name in parameters if fields.get(name) is not None), None)
        if name is not None:
            value = fields.pop(name) if name.endswith("_code") else fields[name]
            named[name] = str(value)
    return named, fields


def warn_of_other_owners(entity: Entity, values: Mapping[str, Any], parents: Values, warnings: list[str]) -> None:
    """Add a warning for each field that names another owner than the one that the object is created under."""
    for column, owner_id in parents.items():
        if _differs(values, column, owner_id):
            warnings.append(f"{entity.service}.{column}: not used, the request names {owner_id}")


def warn_of_kept_ids(entity: Entity, values: Mapping[str, Any], stored: Values, warnings: list[str]) -> None:
    """Add a warning for the id, and for each owner, that an update names and does not change."""
    for column in ("id", *owner_columns(entity)):
        if column not in entity.body.model_fields and _differs(values, column, stored[column]):
            warnings.append(f"{entity.service}.{column}: not used, the object keeps {stored[column]}")


def _differs(values: Mapping[str, Any], column: str, owner_id: int) -> bool:
    return values.get(column) is not None and str(values[column]) != str(owner_id)

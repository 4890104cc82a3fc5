"""What a user may see and change inside the member: all of it, one advertiser's or publisher's part, or only look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement

from onebyone.auth.caller import Caller
from onebyone.errors import Forbidden, NotFound
from onebyone.resources.entity import Entity

_MEMBERS_ALONE = frozenset({"member", "user", "thirdparty-pixel"})
"""Services that a limited user cannot change."""


def row_limits(entity: Entity, caller: Caller) -> dict[str, int]:
    """Column -> value that the rows must have which this user sees. Raises `DomainError` when there are none at all."""
    owner = caller.limit
    if owner is None:
        return {}
    column, value = owner
    if entity.service == column.removesuffix("_id"):
        return {"id": value}
    if entity.service == "user":
        return {"id": caller.user_id}
    if entity.service == "member":
        return {}
    # A tracker shows its advertiser's business, so that it is not the publisher's to see.
    foreign = column == "publisher_id" and "advertiser_id" in entity.table.c
    if foreign or column not in entity.table.c:
        raise Forbidden(f"a user of one {column.removesuffix('_id')} may not use {entity.service}")
    return {column: value}


def visible_rows(entity: Entity, caller: Caller) -> list[ColumnElement[bool]]:
    """The limits as conditions of a read."""
    return [entity.table.c[column] == value for column, value in row_limits(entity, caller).items()]


def is_visible(entity: Entity, caller: Caller, row: Mapping[str, Any]) -> bool:
    """Whether a row of the member is within the limits."""
    return all(row[column] == value for column, value in row_limits(entity, caller).items())


def require_write(entity: Entity, caller: Caller, method: str) -> None:
    """Raises `DomainError` when this user may not do this to any object of the service."""
    if caller.read_only:
        raise Forbidden("the user is read-only")
    if caller.limit is None:
        return
    row_limits(entity, caller)
    own = entity.service == caller.limit[0].removesuffix("_id")
    if entity.service in _MEMBERS_ALONE or (own and method != "PUT"):
        raise Forbidden(f"the user may not {method} {entity.service}")


def require_owner(caller: Caller, owners: Mapping[str, Any]) -> None:
    """Raises the not-found error for an owner outside of the limits."""
    if caller.limit is None:
        return
    column, value = caller.limit
    if column in owners and owners[column] != value:
        raise NotFound(column.removesuffix("_id"), owners[column])

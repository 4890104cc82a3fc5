"""What a caller may see and change in the member: everything, the part of one advertiser or publisher, or only read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement

from onebyone.auth.caller import Caller
from onebyone.errors import Forbidden, ForbiddenOperation, NotFound, Operation, UnsupportedOperation
from onebyone.resources.entity import Entity

_WHOLE_MEMBER_SERVICES = frozenset({"thirdparty-pixel"})
"""Services that a limited user cannot change."""
_ADMIN_SERVICES = frozenset({"member", "user"})
"""Services that only an admin changes: redirect rules decide where the clicks of all advertisers may go."""


def row_limits(entity: Entity, caller: Caller) -> dict[str, int]:
    """Return column -> value that a row must have for the caller to see it. Raise `Forbidden` when no row can."""
    if caller.limit is None:
        return {}
    column, value = caller.limit
    if entity.service == column.removesuffix("_id"):
        return {"id": value}
    if entity.service == "user":
        return {"id": caller.user_id}
    if entity.service == "member":
        return {}
    # A tracker shows its advertiser's business, so a publisher must not see it.
    foreign = column == "publisher_id" and "advertiser_id" in entity.table.c
    if foreign or column not in entity.table.c:
        raise Forbidden(f"a user of one {column.removesuffix('_id')} may not use {entity.service}")
    return {column: value}


def visible_rows(entity: Entity, caller: Caller) -> list[ColumnElement[bool]]:
    """Return the limits as conditions of a read. Raise `Forbidden` as `row_limits` does."""
    return [entity.table.c[column] == value for column, value in row_limits(entity, caller).items()]


def is_visible(entity: Entity, caller: Caller, row: Mapping[str, Any]) -> bool:
    """Return whether the caller sees this row of the member. Raise `Forbidden` as `row_limits` does."""
    return all(row[column] == value for column, value in row_limits(entity, caller).items())


def require_write(entity: Entity, caller: Caller, operation: Operation) -> None:
    """Raise `Forbidden` unless the caller may create, update or delete some object of the service.

    Raise `UnsupportedOperation` when nobody may.
    """
    if operation not in entity.operations:
        raise UnsupportedOperation(operation, entity.service)
    if entity.service == "user" and operation == "update":
        # Everybody has a row of which some fields may change: `user_rights.py` decides by row and field.
        return
    if caller.read_only:
        raise Forbidden("the user is read-only")
    if entity.service in _ADMIN_SERVICES and not caller.manages_users:
        raise ForbiddenOperation(operation, entity.service)
    if caller.limit is None:
        return
    row_limits(entity, caller)
    own = entity.service == caller.limit[0].removesuffix("_id")
    if entity.service in _WHOLE_MEMBER_SERVICES or (own and operation != "update"):
        raise ForbiddenOperation(operation, entity.service)


def require_owner(caller: Caller, owners: Mapping[str, Any]) -> None:
    """Raise `NotFound` for an owner outside the caller's limits."""
    if caller.limit is None:
        return
    column, value = caller.limit
    if column in owners and owners[column] != value:
        raise NotFound(column.removesuffix("_id"), owners[column])

"""The HTTP method of each operation on objects."""

from __future__ import annotations

from collections.abc import Mapping

from onebyone.errors import Operation
from onebyone.resources.entity import Entity

METHODS: Mapping[Operation, str] = {"read": "GET", "create": "POST", "update": "PUT", "delete": "DELETE"}

OPERATIONS: Mapping[str, Operation] = {method: operation for operation, method in METHODS.items()}


def entity_methods(entity: Entity) -> tuple[str, ...]:
    """Return the methods of an entity's service."""
    return tuple(METHODS[operation] for operation in entity.operations)

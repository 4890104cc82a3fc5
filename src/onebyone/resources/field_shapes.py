"""What a field looks like to callers, read from its declaration: its type word, choices and nested fields."""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import BigInteger, Boolean, ColumnElement, Integer

from onebyone.resources.entity import Entity
from onebyone.resources.fields import DATE, MICROS

SCALARS = ("int", "string", "boolean", "date", "double", "money")
ORDERED = ("int", "date", "double", "money")
"""Type words whose values have an order, so that ranges filter them."""

_WORDS = {bool: "boolean", int: "int", float: "double", Decimal: "money", str: "string"}


@dataclass(frozen=True, slots=True)
class Shape:
    """A type word, with the fields of a nested object, the values of an enum, and whether null is one of them."""

    word: str
    model: type[BaseModel] | None = None
    choices: tuple[Any, ...] = ()
    nullable: bool = False


def field_shape(field: FieldInfo) -> Shape:
    """Return the shape of a declared field."""
    return _shape(field.annotation, tuple(field.metadata))


def _shape(annotation: Any, metadata: tuple[Any, ...]) -> Shape:
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *more = get_args(annotation)
        return _shape(base, (*metadata, *more))
    if origin in (Union, types.UnionType):
        (inner,) = (part for part in get_args(annotation) if part is not types.NoneType)
        return replace(_shape(inner, metadata), nullable=True)
    if DATE in metadata:
        return Shape("date")
    if MICROS in metadata:
        return Shape("money")
    if origin is Literal:
        return Shape("string", choices=get_args(annotation))
    if annotation is types.NoneType:
        return Shape("string", nullable=True)
    if origin is list:
        inner = _shape(get_args(annotation)[0], ())
        return Shape("array of objects" if inner.model else "array", inner.model, inner.choices)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Shape("object", annotation)
    return Shape(_WORDS[annotation])


def column_shape(column: ColumnElement[Any]) -> Shape:
    """Return the shape of a table column."""
    if isinstance(column.type, (BigInteger, Integer)):
        return Shape("int")
    if isinstance(column.type, Boolean):
        return Shape("boolean")
    return Shape("date" if getattr(column, "name", "") in ("last_modified", "created_on") else "string")


@cache
def entity_shapes(entity: Entity) -> dict[str, Shape]:
    """Return field -> shape of an object, in output order."""
    links = {link.field for link in entity.links if link.nested}
    shapes = {}
    for name in entity.output:
        if name in links:
            shapes[name] = Shape("object")
        elif name in entity.body.model_fields:
            shapes[name] = field_shape(entity.body.model_fields[name])
        elif name in entity.fixed:
            shapes[name] = Shape(entity.fixed[name][0])
        elif name in entity.derived:
            shapes[name] = Shape(entity.derived[name])
        elif name in entity.table.c:
            shapes[name] = column_shape(entity.table.c[name])
        else:
            shapes[name] = Shape("string")
    return shapes

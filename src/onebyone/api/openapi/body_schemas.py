"""JSON Schemas of the bodies that callers write and of the objects that they read, taken from the pydantic models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from onebyone.api.openapi.components import Components, Schema, enumeration, nullable
from onebyone.api.openapi.read_only import PARTS
from onebyone.resources.entities.budget import BudgetInterval
from onebyone.resources.entities.line_item_parts import LineItemInterval

_DEFINITION = "#/$defs/"
DELETED_BY_NULL = {model.__name__: model.deleted_by_null for model in (BudgetInterval, LineItemInterval)}
"""Class of an element -> its fields that may be null in an update, which deletes it."""
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


class View(Enum):
    """What a caller does with a nested object; the value is the suffix of its component's name.

    An object that is read has no defaults, and keys that only the server writes. An update keeps what it does not name:
    no default applies, and any key may be missing.
    """

    READ = ""
    WRITE = "Input"
    UPDATE = "Update"


class _WireSchema(GenerateJsonSchema):
    """pydantic's schema of a model, with decimals as numbers, as they are on the wire, and without titles of fields."""

    def generate_inner(self, schema: Any) -> Schema:
        # pydantic gives a bound that follows a custom validator by its Python name.
        return {_BOUNDS.get(key, key): part for key, part in super().generate_inner(schema).items()}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> Schema:
        number: Schema = super().decimal_schema(schema)["anyOf"][0]
        return number

    def literal_schema(self, schema: core_schema.LiteralSchema) -> Schema:
        # A single value is an enumeration, too, not a `const`: a second value then renames no class.
        return enumeration(schema["expected"])

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        # The parent class leaves out defaults that a factory makes.
        return schema["default_factory"]() if "default_factory" in schema else super().get_default_value(schema)  # type: ignore[call-arg]

    def encode_default(self, dft: Any) -> Any:
        return float(dft) if isinstance(dft, Decimal) else super().encode_default(dft)


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """Return the schema of a model, with those of nested models under `$defs` by the names of their classes."""
    return model.model_json_schema(schema_generator=_WireSchema, mode="validation")


class BodySchemas:
    """The fields of one body in each view. Nested objects become components."""

    def __init__(self, components: Components, body: type[BaseModel], partial: frozenset[str]) -> None:
        self._components = components
        self._schema = schema_of(body)
        self._partial = partial
        self.required: list[str] = self._schema.get("required", [])

    def field(self, name: str, view: View) -> Schema:
        """Return the schema of a field. An update merges only the fields of `partial`, and replaces the others."""
        schema: Schema = self._schema["properties"][name]
        if view is not View.WRITE:
            schema = _without(schema, "default")
        nested = View.WRITE if view is View.UPDATE and name not in self._partial else view
        return _with_references(schema, lambda part: self._part(part, nested))

    def _part(self, name: str, view: View) -> Schema:
        """Return a reference to a nested object. Views in which it is the same share a component."""
        schema = self._described(name, view)
        for earlier in View:
            if earlier is view or self._described(name, earlier) == schema:
                return self._components.add(name + earlier.value, schema, owner=name)
        raise AssertionError(view)

    def _described(self, name: str, view: View) -> Schema:
        schema: Schema = _without(self._schema["$defs"][name], "title")
        properties = {}
        for field, content in schema["properties"].items():
            kept = content if view is View.WRITE else _without(content, "default")
            properties[field] = _with_references(kept, lambda part: self._part(part, view))
        if view is View.UPDATE:
            for field in DELETED_BY_NULL.get(name, ()):
                properties[field] = properties[field] if "anyOf" in properties[field] else nullable(properties[field])
        if view is View.READ:
            properties |= {field: {**content, "readOnly": True} for field, content in PARTS.get(name, {}).items()}
        return {**(_without(schema, "required") if view is View.UPDATE else schema), "properties": properties}


def _without(schema: Mapping[str, Any], key: str) -> Schema:
    return {name: content for name, content in schema.items() if name != key}


def _with_references(schema: Schema, refer: Callable[[str], Schema]) -> Schema:
    """Return the schema with its references to `$defs` replaced by references to components."""
    if "$ref" in schema:
        return {**schema, **refer(schema["$ref"].removeprefix(_DEFINITION))}
    if "items" in schema:
        return {**schema, "items": _with_references(schema["items"], refer)}
    if "anyOf" in schema:
        return {**schema, "anyOf": [_with_references(part, refer) for part in schema["anyOf"]]}
    return schema

"""The named schemas of the document: each is written once, under its title, and referred to everywhere else.

Client generators turn these names into class names. So a published name never changes, and an object or an enumeration
without one would become a numbered class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from onebyone.api.openapi.field_examples import with_example
from onebyone.resources.fields import CURRENCY_CODES, TIMESTAMP

Schema = dict[str, Any]

INTEGER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
MOMENT: Schema = {"type": "string", **TIMESTAMP}
"""UTC, or wall clock where the object has a time zone."""

ANY_OBJECT: Schema = {"$ref": "#/components/schemas/AnyObject"}

NO_SAMPLES: Mapping[str, Any] = MappingProxyType({})

SHARED_ENUMERATIONS: dict[tuple[str, ...], str] = {
    ("active", "inactive"): "State",
    ("decimal", "comma"): "DecimalType",
    ("include", "exclude", "default"): "DemandFilterAction",
    CURRENCY_CODES: "CurrencyCode",
}
"""Enumerations that several objects share, with their names; any other is named after its object and field."""


def pascal_case(name: str) -> str:
    """Return `LineItem` for `line-item` or `line_item`."""
    return "".join(word[:1].upper() + word[1:] for word in name.replace("-", "_").split("_"))


def reference(name: str) -> Schema:
    """Return a reference to the component of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """Return a schema that also allows null, in the form that pydantic uses."""
    return {"anyOf": [schema, NULL]}


def array(items: Schema) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def enumeration(values: Iterable[str]) -> Schema:
    """Return the schema of a string that is one of these values."""
    return {"type": "string", "enum": list(values)}


def closed_object(properties: Schema, optional: Schema | None = None) -> Schema:
    """Return the schema of an object with all keys of `properties`, any of `optional`, and no others."""
    return {
        "type": "object",
        "properties": properties | (optional or {}),
        "required": list(properties),
        "additionalProperties": False,
    }


class Components:
    """The named schemas of one document, which its parts add as they are built."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}

    def add(
        self, name: str, schema: Schema, *, owner: str | None = None, samples: Mapping[str, Any] = NO_SAMPLES
    ) -> Schema:
        """Add a schema under a name and return a reference to it.

        Enumerations among its properties become components named after `owner`, or after `name` without one. Other
        properties get examples, from `samples` first. Raise ValueError if a different schema already has the name.
        """
        named = {"title": name, **schema}
        if isinstance(schema.get("properties"), dict):
            named["properties"] = {
                field: with_example(field, self._with_named_enumerations(owner or name, field, content), samples)
                for field, content in schema["properties"].items()
            }
        if self.schemas.setdefault(name, named) != named:
            raise ValueError(f"two different schemas are called {name}")
        return reference(name)

    def _with_named_enumerations(self, owner: str, field: str, schema: Schema) -> Schema:
        if "enum" in schema:
            name = SHARED_ENUMERATIONS.get(tuple(schema["enum"]), _enumeration_name(owner, field))
            beside = {key: schema[key] for key in schema if key in ("default", "description")}
            listed = {key: schema[key] for key in schema if key in ("type", "enum", "examples")}
            return self.add(name, listed) | beside
        if "items" in schema:
            items = self._with_named_enumerations(owner, field.removesuffix("s"), schema["items"])
            if "pattern" in items and not field.endswith("s"):
                # A generator names the elements of a plural after its singular, and cannot name these.
                items = self.add(_enumeration_name(owner, field), items)
            return {**schema, "items": items}
        if "anyOf" in schema:
            return {
                **schema,
                "anyOf": [self._with_named_enumerations(owner, field, part) for part in schema["anyOf"]],
            }
        return schema


def _enumeration_name(owner: str, field: str) -> str:
    """Return `PaymentRulePricingType`, but `LineItemType` for the `line_item_type` of a `LineItem`."""
    name = pascal_case(field)
    return name if name.startswith(owner) else owner + name

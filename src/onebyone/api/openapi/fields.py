"""JSON Schema (draft 2020-12) of a declared field: what callers send, or what they are shown."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AfterValidator, BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from onebyone.auth.password_rules import check_password
from onebyone.resources import fields, urls
from onebyone.resources.entities import thirdparty_pixel, tracker
from onebyone.resources.fields import DATE

Schema = dict[str, Any]

DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?"
MOMENT: Schema = {
    "type": "string",
    "pattern": f"^{DAY} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$",
    "examples": ["2026-03-01 10:00:00"],
}
"""UTC, or wall clock where the object has a time zone."""

WORDS: dict[str, Schema] = {
    "int": {"type": "integer"},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "date": MOMENT,
    "double": {"type": "number"},
    "money": {"type": "number"},
    "object": {"type": "object"},
    "array": {"type": "array"},
    "array of objects": {"type": "array", "items": {"type": "object"}},
}
"""Of the type words of GET /<service>/meta."""

_SIMPLE: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    str: {"type": "string"},
    types.NoneType: {"type": "null"},
}
_URL: Schema = {"pattern": "^[Hh][Tt][Tt][Pp][Ss]?://", "maxLength": urls.MAX_LENGTH}
"""As the WHATWG URL standard reads it, which is more than the format `uri` has."""
_VALIDATED: dict[Callable[[Any], Any], Schema] = {
    fields._plain: {"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"},
    fields._not_blank: {"pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"},
    fields._multiline: {"pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"},
    fields._zone: {"$ref": "#/components/schemas/TimeZone"},
    fields._currency: {"$ref": "#/components/schemas/Currency"},
    tracker._click_url: _URL,
    thirdparty_pixel._url: _URL,
    thirdparty_pixel._secure: {**_URL, "pattern": "^[Hh][Tt][Tt][Pp][Ss]://"},
    urls.ascii_domain: {"format": "idn-hostname", "minLength": 1, "maxLength": 254},
    check_password: {"format": "password", "minLength": 10, "maxLength": 64},
}
"""What a validator of a type says that its other metadata does not."""


def of_model(model: type[BaseModel], *, shown: bool) -> Schema:
    """A nested object. Shown ones may have more than callers write: names and ids of the server's."""
    found: Schema = {
        "type": "object",
        "properties": {name: of_field(field, shown=shown) for name, field in model.model_fields.items()},
    }
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    if required and not shown:
        found["required"] = required
    return found


def of_field(field: FieldInfo, *, shown: bool) -> Schema:
    """A field of a body, with its default when callers may leave it out."""
    found = _of(field.annotation, field.metadata, shown)
    if shown or field.is_required():
        return found
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        default = default.model_dump()
    return {**found, "default": int(default) if isinstance(default, Decimal) else default}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    if schema.get("type") in (None, "null"):
        return schema
    found = {**schema, "type": [schema["type"], "null"]}
    return {**found, "enum": [*schema["enum"], None]} if "enum" in schema else found


def _of(annotation: Any, metadata: Iterable[Any], shown: bool) -> Schema:
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *more = get_args(annotation)
        return _of(base, (*more, *metadata), shown)
    if origin in (Union, types.UnionType):
        (inner,) = (part for part in get_args(annotation) if part is not types.NoneType)
        return nullable(_of(inner, metadata, shown))
    if origin is Literal:
        found: Schema = {"type": "string", "enum": list(get_args(annotation))}
    elif origin is list:
        found = {"type": "array", "items": _of(get_args(annotation)[0], (), shown)}
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        found = of_model(annotation, shown=shown)
    else:
        found = dict(_SIMPLE[annotation])
    for item in metadata:
        _limit(found, item)
    return {"$ref": found["$ref"]} if "$ref" in found else found


def _limit(found: Schema, item: Any) -> None:
    """Adds what one piece of metadata says."""
    lengths = ("minItems", "maxItems") if found["type"] == "array" else ("minLength", "maxLength")
    match item:
        case FieldInfo():
            for part in item.metadata:
                _limit(found, part)
        case StringConstraints():
            found |= {
                key: value
                for key, value in zip(
                    (*lengths, "pattern"), (item.min_length, item.max_length, item.pattern), strict=True
                )
                if value is not None
            }
        case MinLen():
            found[lengths[0]] = item.min_length
        case MaxLen():
            found[lengths[1]] = item.max_length
        case Ge():
            found["minimum"] = item.ge
        case Gt():
            found["exclusiveMinimum"] = item.gt
        case Le():
            found["maximum"] = item.le
        case Lt():
            found["exclusiveMaximum"] = item.lt
        case AfterValidator():
            found |= _VALIDATED.get(item.func, {})  # type: ignore[arg-type]
        case str() if item == DATE:
            found |= MOMENT

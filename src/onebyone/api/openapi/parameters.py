"""Query parameters of the services: addressing, paging, sorting, and a filter for every field that has one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onebyone.api.openapi import examples
from onebyone.api.openapi.components import FLAG, TEXT, Components, Schema, reference
from onebyone.errors import Operation
from onebyone.resources import codes, field_shapes, filters, owners, paging
from onebyone.resources.entity import Entity, range_parameters
from onebyone.resources.fields import CLOCK_PATTERN, DAY_PATTERN, MAX_ID

_NUMBER = "-?[0-9]{1,15}([.][0-9]{1,15})?"
_VALUES: dict[str, tuple[str, str]] = {
    "int": ("-?[0-9]{1,18}", "1"),
    "boolean": ("(true|false|0|1)", "true"),
    "date": (f"{DAY_PATTERN}([ T]{CLOCK_PATTERN})?", "2026-03-01 10:00:00"),
    "money": (_NUMBER, "2.5"),
    "double": (_NUMBER, "2.5"),
}
"""Type word -> pattern and example of a value that a filter compares with."""
_ID: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}


def parameter(name: str, description: str, schema: Schema, **more: Any) -> Schema:
    """Return one query parameter. Swagger UI fills its form with `example`, but not with examples of the schema."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema, **more}


COMPONENTS: dict[str, Schema] = {
    "start_element": parameter(
        "start_element",
        "Objects to leave out; past the end the list is empty.",
        {"type": "integer", "minimum": 0, "maximum": MAX_ID},
    ),
    "num_elements": parameter(
        "num_elements",
        f"Objects in the answer; {paging.PAGE} at most and by default.",
        {"type": "integer", "minimum": 1, "maximum": MAX_ID, "default": paging.PAGE},
    ),
    "add_mappings": parameter("add_mappings", "`false`: only fields that nest nothing.", FLAG),
    "search": parameter("search", "A part of the id or of the name, in either case.", TEXT),
    "append": parameter("append", "`true`: elements of arrays change those of the same `id` or follow them.", FLAG),
    "code": parameter("code", "The object with this code instead of an id, in either case.", TEXT),
}

_FLAGS = {
    "create_default_placement": "`false`: create none.",
    "set_child_timezone": "`true`: the advertiser's insertion orders and line items take its time zone too.",
    "never_run": "`true`: line items that nothing was counted for, in addition to those of the ranges.",
}


def add_filter_values(components: Components) -> None:
    """Add the schemas of what filters compare with, one value and several with commas."""
    for word, (pattern, sample) in _VALUES.items():
        one, several = _value_names(word)
        if word in field_shapes.ORDERED:
            components.add(one, {"type": "string", "pattern": f"^{pattern}$", "examples": [sample]})
        components.add(several, {"type": "string", "pattern": f"^{pattern}(,{pattern})*$", "examples": [sample]})
    components.add("Ids", {"type": "string", "pattern": "^[0-9]{1,18}(,[0-9]{1,18})*$", "examples": ["1", "1,2,3"]})


def shared_parameter(name: str) -> Schema:
    """Return a reference to a parameter that services share."""
    return {"$ref": f"#/components/parameters/{name}"}


def read_parameters(components: Components, entity: Entity, name: str) -> list[Schema]:
    """Return the parameters of GET; the filter becomes the component `<name>Filter`."""
    known = filters.entity_filters(entity)
    listed = [
        _ids("One id is one object, several are a list; without it, all objects."),
        *_read_code(entity),
        *map(shared_parameter, ("start_element", "num_elements", "add_mappings", "search")),
        _field_list("sort", "Fields to sort by, the first one first.", known, "([.](asc|desc))?"),
        _field_list("fields", "Only these fields of each object.", entity.output, ""),
        *_optional_fields(entity),
        *(parameter(name, "UTC, `YYYY-MM-DD HH:MM:SS`.", TEXT) for name in range_parameters(sorted(entity.ranged))),
        *_flags(entity, "read"),
    ]
    if entity.service == "user":
        listed.append(parameter("current", "Present: the user of the session.", TEXT))
    return [*listed, *_owner_codes(entity), _filter(components, entity, f"{name}Filter")]


def create_parameters(entity: Entity) -> list[Schema]:
    """Return the parameters of POST: the owner by id or by code, and the flags of the service."""
    return [*_owners(entity, example=1), *_flags(entity, "create")]


def update_parameters(entity: Entity) -> list[Schema]:
    """Return the parameters of PUT."""
    address = parameter("id", "The object.", _ID, example=examples.UPDATED_IDS.get(entity.service, 1))
    return [address, *_code(entity), *_owners(entity), shared_parameter("append"), *_flags(entity, "update")]


def delete_parameters(entity: Entity) -> list[Schema]:
    """Return the parameters of DELETE."""
    return [_ids("The objects; all of them are deleted, or none."), *_code(entity), *_owners(entity)]


def _ids(description: str) -> Schema:
    return parameter("id", description, reference("Ids"))


def _code(entity: Entity) -> list[Schema]:
    return [shared_parameter("code")] if "code_key" in entity.table.c else []


def _read_code(entity: Entity) -> list[Schema]:
    """Return `code` as GET takes it: it names one object wherever codes are unique."""
    if "code_key" not in entity.table.c:
        return []
    one = "The object with this code, in either case, or a list if objects of several owners have it."
    some = "Objects with this code, in either case."
    return [parameter("code", some if entity.code_owner is None else one, TEXT)]


def _optional_fields(entity: Entity) -> list[Schema]:
    """Return the flags that make a read show optional fields."""
    fields: dict[str, list[str]] = {}
    for name, flag in entity.optional.items():
        fields.setdefault(flag, []).append(f"`{name}`")
    return [parameter(flag, f"`true`: show {' and '.join(names)} too.", FLAG) for flag, names in fields.items()]


def _flags(entity: Entity, operation: Operation) -> list[Schema]:
    return [parameter(name, _FLAGS[name], FLAG) for name, used_by in entity.flags.items() if used_by == operation]


def _field_list(name: str, description: str, fields: Iterable[str], ending: str) -> Schema:
    """Return a parameter that takes names of fields with commas between them."""
    listed = list(fields)
    one = f"({'|'.join(listed)}){ending}"
    return parameter(
        name, description, {"type": "string", "pattern": f"^{one}(,{one})*$", "examples": [",".join(listed[:2])]}
    )


def _owners(entity: Entity, **more: Any) -> list[Schema]:
    """Return `advertiser_id` and `advertiser_code` of the owner.

    POST needs one of them, unless the object itself names its owner; PUT and DELETE compare it with the owner.
    """
    listed = []
    for owner in (table.name for table in owners.owner_tables(entity)):
        listed.append(parameter(f"{owner}_id", f"The {owner} that owns the object.", _ID, **more))
        listed.append(parameter(f"{owner}_code", f"The same {owner} by its code.", TEXT))
    return listed


def _owner_codes(entity: Entity) -> list[Schema]:
    """Return parameters that name the owners, which `filter` has by id, by their codes."""
    known = filters.entity_filters(entity)
    named = [name for name, table in codes.OWNERS.items() if f"{table.name}_id" in known]
    return [parameter(name, "Objects of this owner, by its code.", TEXT) for name in named]


def _filter(components: Components, entity: Entity, name: str) -> Schema:
    """Return the parameter whose properties are query parameters by themselves (`style: form`, exploded)."""
    properties: Schema = {}
    for field, filtered in filters.entity_filters(entity).items():
        one, several = (TEXT, TEXT) if filtered.word not in _VALUES else map(reference, _value_names(filtered.word))
        if field not in ("id", "code"):
            properties[field] = several
        properties[f"not_{field}"] = several
        properties[f"like_{field}"] = TEXT
        if filtered.word in field_shapes.ORDERED:
            properties |= {f"{prefix}_{field}": one for prefix in ("min", "max", "nmin", "nmax")}
    schema = components.add(name, {"type": "object", "properties": properties, "additionalProperties": False})
    description = (
        "Each property is a parameter by itself; all hold together. `FIELD` and `not_FIELD` take several values "
        "with commas, `n` before `min_` or `max_` lets null through."
    )
    return parameter("filter", description, schema, style="form", explode=True, example={})


def _value_names(word: str) -> tuple[str, str]:
    return f"{word.capitalize()}Value", f"{word.capitalize()}Values"

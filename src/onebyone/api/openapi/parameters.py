"""Query parameters of the services: addressing, paging, sorting, and a filter for every field that has one."""

from __future__ import annotations

from collections.abc import Iterable

from onebyone.api.openapi.fields import CLOCK, DAY, Schema
from onebyone.resources import codes, field_shapes, filters, paging
from onebyone.resources.entity import Entity, ranges
from onebyone.resources.fields import MAX_ID

_NUMBER = "-?[0-9]{1,15}([.][0-9]{1,15})?"
_ONE: dict[str, str] = {
    "int": "-?[0-9]{1,18}",
    "boolean": "(true|false|0|1)",
    "date": f"{DAY}([ T]{CLOCK})?",
    "money": _NUMBER,
    "double": _NUMBER,
}
_OWNER: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
SAID: Schema = {"type": "string", "enum": ["true", "false"]}


def _component(word: str, ending: str) -> str:
    return f"{word.capitalize()}{ending}"


SCHEMAS: dict[str, Schema] = {
    **{_component(word, "Value"): {"type": "string", "pattern": f"^{one}$"} for word, one in _ONE.items()},
    **{_component(word, "Values"): {"type": "string", "pattern": f"^{one}(,{one})*$"} for word, one in _ONE.items()},
    "Ids": {"type": "string", "pattern": "^[0-9]{1,18}(,[0-9]{1,18})*$", "examples": ["1", "1,2,3"]},
}


def parameter(name: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    """One query parameter."""
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


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
    "add_mappings": parameter("add_mappings", "`false`: only fields that nest nothing.", SAID),
    "search": parameter("search", "A part of the id or of the name, whatever its case.", {"type": "string"}),
    "append": parameter("append", "`true`: elements of arrays change those of the same `id` or follow them.", SAID),
    "code": parameter("code", "The object with this code instead of an id, whatever its case.", {"type": "string"}),
}


_FLAGS = {
    "create_default_placement": "`false`: make none.",
    "set_child_timezone": "`true`: the advertiser's insertion orders and line items take its time zone too.",
    "never_run": "`true`: line items that nothing was counted for, beside those of the ranges.",
}


def ref(name: str) -> Schema:
    """A parameter that services share."""
    return {"$ref": f"#/components/parameters/{name}"}


def _ids(description: str) -> Schema:
    return parameter("id", description, {"$ref": "#/components/schemas/Ids"})


def of_read(entity: Entity) -> list[Schema]:
    """Parameters of GET."""
    found = [
        _ids("One id is one object, several are a list; without it, all objects."),
        *map(ref, ("start_element", "num_elements", "add_mappings", "search")),
        _listed("sort", "Fields to sort by, the first one first.", filters.entity_filters(entity), "([.](asc|desc))?"),
        _listed("fields", "Only these fields of each object.", entity.output, ""),
        *_shown_on_demand(entity),
        *(parameter(name, "UTC, `YYYY-MM-DD HH:MM:SS`.", {"type": "string"}) for name in ranges(sorted(entity.ranged))),
        *_flags(entity, "GET"),
    ]
    if entity.service == "user":
        found.append(parameter("current", "Present: the user of the session.", {"type": "string"}))
    return [*found, *_owner_codes(entity), _filter(entity)]


def of_create(entity: Entity) -> list[Schema]:
    """Parameters of POST: the owner, by id or by code, and what is the service's own."""
    return [*_owners(entity), *_flags(entity, "POST")]


def of_write(entity: Entity, *, several: bool) -> list[Schema]:
    """Parameters of PUT and DELETE."""
    found = [_ids("The object." if not several else "The objects; all of them or none.")]
    if "code_key" in entity.table.c:
        found.append(ref("code"))
    found += _owners(entity)
    return found if several else [*found, ref("append"), *_flags(entity, "PUT")]


def _shown_on_demand(entity: Entity) -> list[Schema]:
    """The flags of fields that a read shows only when it is asked to."""
    fields: dict[str, list[str]] = {}
    for name, flag in entity.optional.items():
        fields.setdefault(flag, []).append(f"`{name}`")
    return [parameter(flag, f"`true`: show {' and '.join(names)} too.", SAID) for flag, names in fields.items()]


def _flags(entity: Entity, method: str) -> list[Schema]:
    return [parameter(name, _FLAGS[name], SAID) for name, looks in entity.parameters.items() if looks == method]


def _listed(name: str, description: str, names: Iterable[str], ending: str) -> Schema:
    """Names of fields with commas between them."""
    one = f"({'|'.join(names)}){ending}"
    return parameter(name, description, {"type": "string", "pattern": f"^{one}(,{one})*$"})


def _owners(entity: Entity) -> list[Schema]:
    """`advertiser_id` and `advertiser_code` of the owner, one of which POST needs; PUT and DELETE compare it."""
    found = []
    for link in entity.links if entity.parent is not None else ():
        owner = link.target.name
        if not link.nested:
            found.append(parameter(f"{owner}_id", f"The {owner} that owns the object.", _OWNER))
            found.append(parameter(f"{owner}_code", f"The same {owner} by its code.", {"type": "string"}))
    return found


def _owner_codes(entity: Entity) -> list[Schema]:
    """The owners that `filter` has by id, by their codes."""
    known = filters.entity_filters(entity)
    found = [name for name, table in codes.OWNERS.items() if f"{table.name}_id" in known]
    return [parameter(name, "Objects of this owner, by its code.", {"type": "string"}) for name in found]


def _filter(entity: Entity) -> Schema:
    """Each property is a query parameter of its own (`style: form`, exploded)."""
    properties: Schema = {}
    for name, found in filters.entity_filters(entity).items():
        one, several = _value(found.word)
        if name != "id":
            properties[name] = several
        properties[f"not_{name}"] = several
        properties[f"like_{name}"] = {"type": "string"}
        if found.word in field_shapes.ORDERED:
            properties |= {f"{prefix}_{name}": one for prefix in ("min", "max", "nmin", "nmax")}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    text = (
        "Each property is a parameter of its own; all hold together. `FIELD` and `not_FIELD` take several values "
        "with commas, `n` before `min_` or `max_` lets null through."
    )
    return {**parameter("filter", text, schema), "style": "form", "explode": True, "example": {}}


def _value(word: str) -> tuple[Schema, Schema]:
    if word not in _ONE:
        return {"type": "string"}, {"type": "string"}
    return tuple({"$ref": f"#/components/schemas/{_component(word, end)}"} for end in ("Value", "Values"))  # type: ignore[return-value]

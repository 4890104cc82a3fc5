"""The schemas of one entity: an object as it is shown, and the bodies that make and change one."""

from __future__ import annotations

from onebyone.api.openapi import examples
from onebyone.api.openapi.fields import WORDS, Schema, nullable, of_field
from onebyone.api.openapi.nested import DERIVED, LINK, MORE
from onebyone.resources import field_shapes
from onebyone.resources.entity import Entity


def component(entity: Entity) -> str:
    """`LineItem` of `line-item`."""
    return "".join(part.capitalize() for part in entity.service.split("-"))


def components(entity: Entity) -> dict[str, Schema]:
    """The schemas of an entity by name."""
    name = component(entity)
    found = {name: _shown(entity)}
    if "POST" in entity.methods:
        found[f"{name}New"] = _body(entity, new=True)
    if "PUT" in entity.methods:
        found[f"{name}Change"] = _body(entity, new=False)
    return found


def _shown(entity: Entity) -> Schema:
    """Every key of an object; which of them an answer has depends on `fields` and `add_mappings`."""
    properties = {}
    for name, shape in field_shapes.entity_shapes(entity).items():
        found = _key(entity, name, shape)
        if name not in entity.body.model_fields:
            found = {**({"allOf": [found]} if "$ref" in found else found), "readOnly": True}
        properties[name] = found
    return {
        "type": "object",
        "description": (entity.__doc__ or "").strip(),
        "properties": properties,
        "additionalProperties": False,
    }


def _key(entity: Entity, name: str, shape: field_shapes.Shape) -> Schema:
    links = {link.field: link for link in entity.links if link.nested}
    if name in links:
        return LINK if _required(entity, name) else nullable(LINK)
    if (entity.service, name) in DERIVED:
        return DERIVED[entity.service, name]
    if name in entity.body.model_fields:
        found = of_field(entity.body.model_fields[name], shown=True)
        return _with_more(found, MORE.get((entity.service, name), {}))
    if name in entity.table.c and not entity.table.c[name].nullable:
        return WORDS[shape.word]
    return nullable(WORDS[shape.word])


def _required(entity: Entity, name: str) -> bool:
    return entity.body.model_fields[name].is_required()


def _with_more(found: Schema, more: Schema) -> Schema:
    if not more:
        return found
    if "items" in found:
        return {**found, "items": _with_more(found["items"], more)}
    read_only = {name: {**schema, "readOnly": True} for name, schema in more.items()}
    return {**found, "properties": {**found["properties"], **read_only}}


def _body(entity: Entity, *, new: bool) -> Schema:
    """Unknown fields are left out with a warning, so that what GET shows may be put back as it is."""
    fields = entity.body.model_fields
    inner: Schema = {
        "type": "object",
        "properties": {name: _written(entity, name, new=new) for name in fields},
    }
    required = [name for name, field in fields.items() if field.is_required()]
    if new and required:
        inner["required"] = required
    found: Schema = {"type": "object", "properties": {entity.service: inner}, "required": [entity.service]}
    example = examples.NEW.get(entity.service) if new else examples.CHANGE.get(entity.service)
    return found if example is None else {**found, "examples": [{entity.service: example}]}


def _written(entity: Entity, name: str, *, new: bool) -> Schema:
    found = of_field(entity.body.model_fields[name], shown=False)
    if new:
        return found
    # A change leaves alone what it does not name: no default applies, and a part may come without the rest.
    found = {key: value for key, value in found.items() if key != "default"}
    return _in_part(found) if name in entity.partial else found


def _in_part(found: Schema) -> Schema:
    if "items" in found:
        return {**found, "items": _in_part(found["items"])}
    return {key: value for key, value in found.items() if key != "required"}

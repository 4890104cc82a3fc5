"""The schemas of one entity: an object as it is read, and the bodies that create and update one."""

from __future__ import annotations

from onebyone.api.openapi import examples
from onebyone.api.openapi.body_schemas import BodySchemas, View
from onebyone.api.openapi.components import Components, Schema, nullable, pascal_case
from onebyone.api.openapi.read_only import FIELDS, NAMED_LINK, TYPE_WORDS
from onebyone.resources import field_shapes
from onebyone.resources.entity import Entity


def component_name(entity: Entity) -> str:
    """Return the name of the component that is the object: `LineItem` for `line-item`."""
    return pascal_case(entity.service)


def add_entity(components: Components, entity: Entity) -> None:
    """Add the schemas of an entity.

    `LineItem` is the object, of which a read shows the fields that it asked for; `LineItemFull` has them all;
    `LineItemCreate` and `LineItemUpdate` are the fields that the bodies `LineItemCreateRequest` and
    `LineItemUpdateRequest` take.
    """
    name = component_name(entity)
    body = BodySchemas(components, entity.body, entity.partial)
    components.add(name, _object(entity, body), samples=examples.field_samples(entity.service))
    if {"create", "update"} & set(entity.operations):
        full = {"allOf": [{"$ref": f"#/components/schemas/{name}"}, {"required": list(entity.shown)}]}
        components.add(f"{name}Full", full)
    if "create" in entity.operations:
        _add_request(components, entity, "Create", body, View.WRITE)
    if "update" in entity.operations:
        _add_request(components, entity, "Update", body, View.UPDATE)


def _object(entity: Entity, body: BodySchemas) -> Schema:
    """Return the schema of an object with every key; `fields` and `add_mappings` decide which of them an answer has."""
    properties = {}
    for name, shape in field_shapes.entity_shapes(entity).items():
        schema = _readable(entity, name, shape, body)
        properties[name] = schema if name in entity.body.model_fields else {**schema, "readOnly": True}
    return {
        "type": "object",
        "description": (entity.__doc__ or "").strip(),
        "properties": properties,
        "additionalProperties": False,
    }


def _readable(entity: Entity, name: str, shape: field_shapes.Shape, body: BodySchemas) -> Schema:
    if any(link.field == name and link.nested for link in entity.links):
        return NAMED_LINK if name in body.required else nullable(NAMED_LINK)
    if (entity.service, name) in FIELDS:
        return FIELDS[entity.service, name]
    if name in entity.body.model_fields:
        return body.field(name, View.READ)
    schema = TYPE_WORDS[shape.word]
    return schema if name in entity.table.c and not entity.table.c[name].nullable else nullable(schema)


def _add_request(components: Components, entity: Entity, verb: str, body: BodySchemas, view: View) -> None:
    """Add a body and its fields.

    Both allow unknown keys, which the API ignores with a warning, so that the answer to a GET may be sent back.
    """
    name = component_name(entity)
    samples = examples.field_samples(entity.service)
    fields: Schema = {
        "type": "object",
        "properties": {field: body.field(field, view) for field in entity.body.model_fields},
    }
    if view is View.WRITE and body.required:
        fields["required"] = body.required
    request: Schema = {
        "type": "object",
        "properties": {entity.service: components.add(name + verb, fields, owner=name, samples=samples)},
        "required": [entity.service],
    }
    sample = (examples.CREATE if view is View.WRITE else examples.UPDATE).get(entity.service)
    if sample is not None:
        request["examples"] = [{entity.service: sample}]
    components.add(f"{name}{verb}Request", request)

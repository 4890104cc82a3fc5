"""The operations of one entity: what GET, POST, PUT, DELETE and `/meta` take and answer."""

from __future__ import annotations

from onebyone.api.openapi import parameters
from onebyone.api.openapi.envelopes import closed, responses, success
from onebyone.api.openapi.fields import WORDS, Schema
from onebyone.api.openapi.nested import FLAG, INTEGER, TEXT
from onebyone.api.openapi.objects import component
from onebyone.resources.entity import Entity

COUNT: Schema = {"type": "integer", "minimum": 0}
PAGE: Schema = {"start_element": COUNT, "num_elements": COUNT}
_NOTHING: Schema = {"type": "null"}


def paths(entity: Entity) -> dict[str, Schema]:
    """The paths of an entity."""
    make = {"GET": _read, "POST": _create, "PUT": _change, "DELETE": _delete}
    operations = {method.lower(): make[method](entity) for method in entity.methods}
    return {f"/{entity.service}": operations, f"/{entity.service}/meta": {"get": _meta(entity)}}


def operation(tag: str, verb: str, summary: str, more: Schema) -> Schema:
    """An operation with a name of its own."""
    name = "".join(part.capitalize() for part in tag.split("-"))
    return {"tags": [tag], "operationId": f"{verb}{name}", "summary": summary, **more}


def _object(entity: Entity) -> Schema:
    return {"$ref": f"#/components/schemas/{component(entity)}"}


def _whole(entity: Entity) -> Schema:
    """The object with all its keys, as a write shows it."""
    return {"allOf": [_object(entity), {"required": list(entity.shown)}]}


def _read(entity: Entity) -> Schema:
    one = success({**PAGE, entity.service: _object(entity), "count": {"const": 1}})
    several = success({**PAGE, entity.plural: {"type": "array", "items": _object(entity)}, "count": COUNT})
    more = {"parameters": parameters.of_read(entity), "responses": responses(one, several)}
    return operation(entity.service, "get", "One object, or a page of a list", more)


def _create(entity: Entity) -> Schema:
    done = success({"count": {"const": 1}, "id": INTEGER, **PAGE, entity.service: _whole(entity)})
    more = {
        "parameters": parameters.of_create(entity),
        "requestBody": _body(f"{component(entity)}New"),
        "responses": responses(done),
    }
    return operation(entity.service, "create", "A new object", more)


def _change(entity: Entity) -> Schema:
    done = success({"count": {"const": 1}, "id": TEXT, **PAGE, entity.service: _whole(entity)})
    more = {
        "parameters": parameters.of_write(entity, several=False),
        "requestBody": _body(f"{component(entity)}Change"),
        "responses": responses(done),
    }
    return operation(entity.service, "change", "Changes the fields that the body names", more)


def _delete(entity: Entity) -> Schema:
    done = success({"count": COUNT, "start_element": _NOTHING, "num_elements": _NOTHING})
    more = {"parameters": parameters.of_write(entity, several=True), "responses": responses(done)}
    return operation(entity.service, "delete", "Deletes objects and what depends on them", more)


def _meta(entity: Entity) -> Schema:
    field = {"type": "array", "items": {"$ref": "#/components/schemas/FieldMeta"}}
    return operation(
        entity.service, "describe", "The fields of an object", {"responses": responses(success({"fields": field}))}
    )


def _body(name: str) -> Schema:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    return {"required": True, "content": content}


_FIELD: Schema = {"name": TEXT, "type": {"type": "string", "enum": list(WORDS)}, "sort_by": FLAG, "filter_by": FLAG}
_PARTS: Schema = {"type": "array", "items": {"$ref": "#/components/schemas/FieldMeta"}}
FIELD_META: Schema = {
    **closed(_FIELD),
    "properties": {**_FIELD, "read_only": FLAG, "fields": _PARTS},
}

"""The operations of one entity: what GET, POST, PUT, DELETE and `/meta` take and answer."""

from __future__ import annotations

from onebyone.api.http.methods import METHODS
from onebyone.api.openapi import parameters
from onebyone.api.openapi.components import (
    COUNT,
    FLAG,
    INTEGER,
    NULL,
    TEXT,
    Components,
    Schema,
    array,
    closed_object,
    enumeration,
    reference,
)
from onebyone.api.openapi.entity_schemas import component_name
from onebyone.api.openapi.envelopes import add_success, responses
from onebyone.api.openapi.operations import PAGE, json_body, operation
from onebyone.api.openapi.read_only import TYPE_WORDS
from onebyone.resources.entity import Entity

_ONE: Schema = {"const": 1}


def add_shared(components: Components) -> None:
    """Add what the operations of all entities answer: the fields of `/meta` and the count of a DELETE."""
    field = {"name": TEXT, "type": enumeration(TYPE_WORDS), "sort_by": FLAG, "filter_by": FLAG}
    nested = array(reference("FieldMeta"))
    components.add("FieldMeta", closed_object(field, {"read_only": FLAG, "fields": nested}))
    add_success(components, "Meta", {"fields": nested})
    add_success(components, "Delete", {"count": COUNT, "start_element": NULL, "num_elements": NULL})


def entity_paths(components: Components, entity: Entity) -> dict[str, Schema]:
    """Return the paths of an entity, with their operations by method."""
    describe = {"read": _read, "create": _create, "update": _update, "delete": _delete}
    operations = {METHODS[name].lower(): describe[name](components, entity) for name in entity.operations}
    return {
        f"/{entity.service}": operations,
        f"/{entity.service}/meta": {"get": _meta(entity)},
    }


def _read(components: Components, entity: Entity) -> Schema:
    name = component_name(entity)
    one = add_success(components, name, {**PAGE, entity.service: reference(name), "count": _ONE})
    several = add_success(components, f"{name}List", {**PAGE, entity.plural: array(reference(name)), "count": COUNT})
    content = {
        "parameters": parameters.read_parameters(components, entity, name),
        "responses": responses(one, several),
    }
    return operation("get", entity.service, "Read one object, or a page of a list", content)


def _create(components: Components, entity: Entity) -> Schema:
    content = _write(components, entity, "Create", parameters.create_parameters(entity), INTEGER)
    return operation("create", entity.service, "Create an object", content)


def _update(components: Components, entity: Entity) -> Schema:
    content = _write(components, entity, "Update", parameters.update_parameters(entity), TEXT)
    return operation("update", entity.service, "Change the fields that the body names", content)


def _write(components: Components, entity: Entity, verb: str, query: list[Schema], shown_id: Schema) -> Schema:
    """Return what a write takes and answers: PUT shows the id as the text that the request had."""
    name = component_name(entity)
    written = {"count": _ONE, "id": shown_id, **PAGE, entity.service: reference(f"{name}Full")}
    return {
        "parameters": query,
        "requestBody": json_body(reference(f"{name}{verb}Request")),
        "responses": responses(add_success(components, f"{name}{verb}", written)),
    }


def _delete(components: Components, entity: Entity) -> Schema:
    content = {
        "parameters": parameters.delete_parameters(entity),
        "responses": responses(reference("DeleteResponse")),
    }
    return operation("delete", entity.service, "Delete objects and what depends on them", content)


def _meta(entity: Entity) -> Schema:
    content = {"responses": responses(reference("MetaResponse"))}
    return operation("describe", entity.service, "List the fields of an object", content)

"""The OpenAPI document: valid, complete, named for generators of clients, and true of what the API answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import cast
from unittest.mock import Mock

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel
from starlette.routing import Route

from onebyone.api import ops_endpoints
from onebyone.api.http.methods import entity_methods
from onebyone.api.lists import list_handlers
from onebyone.api.openapi import pages
from onebyone.api.openapi.components import Components
from onebyone.api.openapi.entity_schemas import component_name
from onebyone.api.reports import report_handlers
from onebyone.reports.service import ReportService
from onebyone.resources import filters
from onebyone.resources.context import EngineContext
from onebyone.resources.entities import ENTITIES
from onebyone.resources.entities.line_item_parts import InsertionOrderLink
from onebyone.resources.entity import Entity
from onebyone.resources.field_shapes import field_shape
from onebyone.resources.fields import Body, ObjectLink
from onebyone.settings import Settings
from tests.support.api_contract import described, resolved, schemas
from tests.support.api_harness import PASSWORD, Harness, response_of

METHODS = ("get", "post", "put", "delete", "patch", "options")


def operations() -> set[tuple[str, str]]:
    """Return (path, method) of every operation of the document."""
    return {(path, method) for path, item in described()["paths"].items() for method in METHODS if method in item}


def services() -> list[str]:
    """Return every name that the API has a handler for, and `auth`."""
    names = [entity.service for entity in ENTITIES]
    lists = list_handlers(cast(EngineContext, None), {})
    reports = report_handlers(cast(ReportService, None))
    return ["auth", *names, *lists, *reports]


def test_it_is_valid() -> None:
    document = json.loads(pages.load_page("/openapi.json").content)
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    names = [document["paths"][path][method]["operationId"] for path, method in operations()]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)] == []


def test_every_class_has_a_name() -> None:
    components = described()["components"]["schemas"]
    for name, schema in components.items():
        assert schema["title"] == name
        assert re.fullmatch(r"([A-Z][a-z]+)+", name)
    named = {id(schema) for schema in components.values()}
    nameless = [
        schema
        for schema in schemas(described())
        if id(schema) not in named and ({"properties", "enum"} & schema.keys() or "oneOf" in schema.get("items", {}))
    ]
    assert nameless == []


def test_every_component_is_used() -> None:
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described()))
    assert set(references) == set(described()["components"]["schemas"])


def test_no_enumeration_has_two_names() -> None:
    components = described()["components"]["schemas"]
    enumerations = [tuple(schema["enum"]) for schema in components.values() if "enum" in schema]
    assert len(set(enumerations)) == len(enumerations)


def test_every_array_has_items() -> None:
    assert [schema for schema in schemas(described()) if schema.get("type") == "array" and "items" not in schema] == []


def test_a_component_has_one_schema() -> None:
    components = Components()
    components.add("Twice", {"type": "object"})
    components.add("Twice", {"type": "object"})
    with pytest.raises(ValueError, match="Twice"):
        components.add("Twice", {"type": "object", "description": "Another."})


def test_it_has_every_route_and_no_other() -> None:
    wanted = {f"/{name}" for name in services()} | {f"/{entity.service}/meta" for entity in ENTITIES}
    health = ops_endpoints.create_ops_app(Settings(), dict, Mock())
    wanted |= {route.path for route in health.routes if isinstance(route, Route)}
    assert set(described()["paths"]) == wanted | {"/openapi.json", "/docs"}
    for entity in ENTITIES:
        assert {method.lower() for method in entity_methods(entity)} == set(described()["paths"][f"/{entity.service}"])


@pytest.mark.anyio
async def test_it_has_every_method_and_no_other(api: Harness) -> None:
    known = operations()
    for path in (*(f"/{name}" for name in services()), *(f"/{entity.service}/meta" for entity in ENTITIES)):
        for method in METHODS:
            # DELETE ends the session that it comes with.
            client = await api.login("admin", PASSWORD) if path == "/auth" else api
            response = response_of(await client.send(method.upper(), path))
            refused = "is not supported" in response.get("error", "")
            assert refused == ((path, method) not in known), (method, path, response.get("error"))


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.service)
def test_an_object_has_every_key_and_every_filter(entity: Entity) -> None:
    shown = described()["components"]["schemas"][component_name(entity)]["properties"]
    assert tuple(shown) == entity.output
    for name, schema in shown.items():
        assert schema.get("readOnly", False) == (name not in entity.body.model_fields)
    parameters = described()["paths"][f"/{entity.service}"]["get"]["parameters"]
    (filtered,) = (resolved(item["schema"])["properties"] for item in parameters if item.get("name") == "filter")
    assert {f"not_{name}" for name in filters.entity_filters(entity)} <= filtered.keys()


NOT_SHOWN = {("Roadblock", "ad_types")}
"""Keys that some samples have and that are ignored."""


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.service)
def test_nested_objects_have_every_key(entity: Entity) -> None:
    components = described()["components"]["schemas"]
    missing = [
        (part.__name__, key)
        for part in nested_parts(entity.body)
        for key in (*part.model_fields, *part.shown)
        if part not in (ObjectLink, InsertionOrderLink) and key not in components[part.__name__]["properties"]
    ]
    assert set(missing) <= NOT_SHOWN


def nested_parts(body: type[BaseModel]) -> Iterator[type[Body]]:
    """Yield the classes of the objects in a body, at any depth."""
    for field in body.model_fields.values():
        model = field_shape(field).model
        if model is not None:
            assert issubclass(model, Body)
            yield model
            yield from nested_parts(model)

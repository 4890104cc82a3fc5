"""The OpenAPI document: valid, complete, and true of what the API answers."""

from __future__ import annotations

import json
from typing import Any, cast
from unittest.mock import Mock

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from onebyone.api import ops_endpoints
from onebyone.api.openapi import examples, pages
from onebyone.api.openapi.objects import component
from onebyone.api.reports import report_handlers
from onebyone.reports.service import ReportService
from onebyone.resources import filters
from onebyone.resources.context import ApiContext
from onebyone.resources.entities import ENTITIES
from onebyone.resources.entity import Entity
from onebyone.resources.lists import catalogue
from onebyone.settings import Settings
from tests.support.api_contract import described
from tests.support.api_harness import Harness, Json, response_of

METHODS = ("get", "post", "put", "delete", "patch", "options")


def operations() -> set[tuple[str, str]]:
    """(path, method) of every operation of the document."""
    return {(path, method) for path, item in described()["paths"].items() for method in METHODS if method in item}


def services() -> list[str]:
    """Every name that the API has a handler for, and `auth`."""
    names = [entity.service for entity in ENTITIES]
    listed = catalogue.services(cast(ApiContext, None))
    reports = report_handlers(cast(ReportService, None))
    return ["auth", *names, "object-limit", "lookup", *listed, *reports]


def test_it_is_valid() -> None:
    document = json.loads(pages.page("/openapi.json").content)
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    names = [document["paths"][path][method]["operationId"] for path, method in operations()]
    assert len(set(names)) == len(names)


def test_it_has_every_route_and_no_other() -> None:
    wanted = {f"/{name}" for name in services()} | {f"/{entity.service}/meta" for entity in ENTITIES}
    health = ops_endpoints.application(Settings(), dict, Mock())
    wanted |= {route.path for route in health.routes if isinstance(route, Route)}
    assert set(described()["paths"]) == wanted | {"/openapi.json", "/docs"}
    for entity in ENTITIES:
        assert {method.lower() for method in entity.methods} == set(described()["paths"][f"/{entity.service}"])


@pytest.mark.anyio
async def test_it_has_every_method_and_no_other(api: Harness) -> None:
    known = operations()
    for path in (*(f"/{name}" for name in services()), *(f"/{entity.service}/meta" for entity in ENTITIES)):
        for method in METHODS:
            response = response_of(await api.send(method.upper(), path))
            refused = "is not supported" in response.get("error", "")
            assert refused == ((path, method) not in known), (method, path, response.get("error"))


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.service)
def test_an_object_has_every_key_and_every_filter(entity: Entity) -> None:
    shown = described()["components"]["schemas"][component(entity)]["properties"]
    assert tuple(shown) == entity.output
    for name, schema in shown.items():
        assert schema.get("readOnly", False) == (name not in entity.body.model_fields)
    parameters = described()["paths"][f"/{entity.service}"]["get"]["parameters"]
    (filtered,) = (item["schema"]["properties"] for item in parameters if item.get("name") == "filter")
    assert {f"not_{name}" for name in filters.entity_filters(entity)} <= filtered.keys()


def schemas(part: Any) -> list[Json]:
    """Every object in the document that has a type."""
    if isinstance(part, list):
        return [found for item in part for found in schemas(item)]
    if not isinstance(part, dict):
        return []
    own = [part] if "type" in part and not isinstance(part["type"], dict) else []
    return own + [found for item in part.values() for found in schemas(item)]


def test_every_pattern_and_default_fits_its_schema() -> None:
    components = {"components": described()["components"]}
    for schema in schemas(described()):
        for example in [*schema.get("examples", []), *([schema["default"]] if "default" in schema else [])]:
            jsonschema_rs.validate({**schema, **components}, example)


def example(service: str, kind: str, **links: Json) -> Json:
    """The example of a body, checked, with the test's own ids in it."""
    schema = {**described()["components"]["schemas"][f"{component_of(service)}{kind}"]}
    (body,) = schema["examples"]
    return {**body[service], **{name: link for name, link in links.items() if name in body[service]}}


def component_of(service: str) -> str:
    return next(component(entity) for entity in ENTITIES if entity.service == service)


@pytest.mark.anyio
async def test_the_examples_work(api: Harness) -> None:
    made: dict[str, int] = {}
    owners = {
        **dict.fromkeys(("insertion-order", "line-item", "imptracker", "clicktracker"), "advertiser"),
        **dict.fromkeys(("site", "placement", "payment-rule"), "publisher"),
    }
    links: dict[str, Any] = {}
    for service in examples.NEW:
        owner = {f"{owners[service]}_id": made[owners[service]]} if service in owners else {}
        made[service] = (await api.create(service, example(service, "New", **links), **owner))["id"]
        links[service.replace("-", "_")] = {"id": made[service]}
        links["insertion_orders"] = [{"id": made.get("insertion-order", 0)}]
        if service == "advertiser":
            await api.put(service, made[service], example(service, "Change"))
    links |= {"tag": {"id": made["placement"]}, "advertisers": [{"id": made["advertiser"]}]}
    for service in examples.CHANGE:
        await api.put(service, made.get(service, 1), example(service, "Change", **links))


@pytest.mark.anyio
async def test_it_needs_no_login_and_is_not_sent_twice(api: Harness) -> None:
    answer = await api.http.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == described()
    plain = await api.http.get("/openapi.json", headers={"accept-encoding": "identity"})
    assert plain.content == answer.content
    assert plain.headers["etag"] != answer.headers["etag"]
    again = await api.http.get("/openapi.json", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    refused = await api.http.post("/openapi.json")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.anyio
@pytest.mark.parametrize("path", pages.PATHS)
async def test_pages_load_nothing_from_elsewhere(api: Harness, path: str) -> None:
    answer = await api.http.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    if path == "/docs":
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "://" not in answer.text

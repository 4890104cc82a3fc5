"""The examples of the document: bodies that work on a fresh store in the order of the page, and values of fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import jsonschema_rs
import pytest

from tests.support.api_contract import check, described, resolved, schemas
from tests.support.api_harness import Json
from tests.support.running_api import running_api

SCALARS = {"string", "integer", "number"}


def requests_of_the_page(methods: tuple[str, ...]) -> Iterator[tuple[str, str, Json, Json]]:
    """Yield (method, path, query, body) of the operations with these methods, in the order of the page.

    The page fills its forms with the examples of parameters and bodies.
    """
    for tag in described()["tags"]:
        for path, item in described()["paths"].items():
            for method in (method for method in item if method in methods):
                operation = item[method]
                if operation["tags"] == [tag["name"]]:
                    shown = [resolved(parameter) for parameter in operation.get("parameters", ())]
                    query = {parameter["name"]: parameter["example"] for parameter in shown if "example" in parameter}
                    body = resolved(operation["requestBody"]["content"]["application/json"]["schema"])
                    yield method, path, query, body["examples"][0]


@pytest.mark.parametrize(("methods", "count"), [(("post", "put"), 25), (("post",), 13)], ids=["all", "POST alone"])
def test_bodies_work_in_the_order_of_the_page(tmp_path: Path, methods: tuple[str, ...], count: int) -> None:
    refused = []
    sent = 0
    with running_api(tmp_path) as url, httpx.Client(base_url=url) as page:
        for method, path, query, body in requests_of_the_page(methods):
            # A browser keeps the cookie that the first of them brings.
            answer = page.request(method, path, params=query, json=body)
            check(answer)
            response = answer.json()["response"]
            sent += 1
            if response["status"] != "OK" or response["dbg_info"]["warnings"]:
                refused.append((method, path, response))
    assert (refused, sent) == ([], count)


def test_every_example_and_default_fits_its_schema() -> None:
    components = {"components": described()["components"]}
    for schema in schemas(described()):
        samples = [*schema.get("examples", []), *([schema["default"]] if "default" in schema else [])]
        # Reading all components again takes most of the time, and most examples are of plain values.
        referred = components if samples and "$ref" in json.dumps(schema) else {}
        for sample in samples:
            jsonschema_rs.validate({**schema, **referred}, sample)
    for response in described()["components"]["responses"].values():
        content = response["content"]["application/json"]
        jsonschema_rs.validate({**content["schema"], **components}, content["example"])


def test_every_field_has_a_value_that_people_can_read() -> None:
    """Without an example, tools make one up: random text from a pattern, or 0 for an id."""
    silent = []
    for name, component in described()["components"]["schemas"].items():
        if not name.endswith("Filter") and "examples" not in component:
            silent += [
                f"{name}.{field}" for field, schema in component.get("properties", {}).items() if _is_silent(schema)
            ]
    assert silent == []


def _is_silent(schema: Json) -> bool:
    if "items" in schema:
        return _is_silent(schema["items"])
    parts = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    tell = {"examples", "enum", "const"}
    return not tell & schema.keys() and any(part.get("type") in SCALARS and not tell & part.keys() for part in parts)

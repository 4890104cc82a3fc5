"""The OpenAPI document as a judge of answers: does an answer look as the document says?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from onebyone import time_zones
from onebyone.api.openapi import document

_VERSION = re.compile(r"^/(current|v[0-9.]+)(?=/)")


@cache
def described() -> dict[str, Any]:
    """Return the document."""
    return document.build_document()


def forget() -> None:
    """Drop the document after a test has changed the services."""
    described.cache_clear()
    _validator.cache_clear()


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference points at, or the part itself when it is none."""
    while "$ref" in part:
        target: Any = described()
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def schemas(part: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema below a part of the document, which is a schema itself."""
    if isinstance(part, list):
        for element in part:
            yield from schemas(element)
    elif isinstance(part, dict):
        if {"type", "enum", "properties", "anyOf"} & part.keys():
            yield part
        for key, content in part.items():
            # The names of properties are no keywords.
            yield from schemas(list(content.values()) if key == "properties" else content)


@cache
def _validator(path: str, method: str, status: str) -> jsonschema_rs.Draft202012Validator:
    operation = described()["paths"].get(path, {}).get(method)
    schema: dict[str, Any] = {"$ref": "#/components/schemas/ErrorResponse"}
    if operation is not None:
        assert status in operation["responses"], f"{method} {path} answers {status}"
        schema = resolved(operation["responses"][status])["content"]["application/json"]["schema"]
    whole = {**schema, "components": described()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def check(answer: httpx.Response) -> None:
    """Raise AssertionError when a JSON answer is not as its operation says.

    The answer of a path that has no operation must be the error. Time zones must be known ones: the document, which
    outlives a release of their database, does not list them.
    """
    path = _VERSION.sub("", answer.request.url.path)
    validator = _validator(path, answer.request.method.lower(), str(answer.status_code))
    content = answer.json()
    if not validator.is_valid(content):
        faults = [f"{fault.instance_path}: {fault.message[:600]}" for fault in _leaves(validator, content)]
        raise AssertionError(f"{answer.request.method} {answer.request.url}: {faults}")
    unknown = set(_time_zones(content)) - time_zones.time_zone_names() - {None}
    assert not unknown, f"{answer.request.method} {answer.request.url}: {unknown}"


def _time_zones(part: Any) -> Iterator[Any]:
    if isinstance(part, list):
        for element in part:
            yield from _time_zones(element)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "timezone":
                yield value
            else:
                yield from _time_zones(value)


def _leaves(validator: jsonschema_rs.Draft202012Validator, content: Any) -> list[jsonschema_rs.ValidationError]:
    """Return the faults in that branch of a choice which the answer came closest to."""
    leaves: list[jsonschema_rs.ValidationError] = []
    for fault in validator.iter_errors(content):
        branches: list[list[jsonschema_rs.ValidationError]] = [*getattr(fault.kind, "context", ())]
        leaves += sorted(branches, key=len)[0] if branches else [fault]
    return leaves

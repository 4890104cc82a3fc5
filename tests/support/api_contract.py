"""The OpenAPI document as a judge: does an answer look as the document says that it does?"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from onebyone.api.openapi import document

_VERSION = re.compile(r"^/(current|v[0-9.]+)(?=/)")


@cache
def described() -> dict[str, Any]:
    """The document."""
    return document.document()


def forget() -> None:
    """The services have changed."""
    described.cache_clear()
    _validator.cache_clear()


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference points at."""
    while "$ref" in part:
        found: Any = described()
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


@cache
def _validator(path: str, method: str, status: str) -> jsonschema_rs.Draft202012Validator:
    operation = described()["paths"].get(path, {}).get(method)
    schema: dict[str, Any] = {"$ref": "#/components/schemas/Error"}
    if operation is not None:
        assert status in operation["responses"], f"{method} {path} answers {status}"
        schema = resolved(operation["responses"][status])["content"]["application/json"]["schema"]
    whole = {**schema, "components": described()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def check(answer: httpx.Response) -> None:
    """Fails when a JSON answer is not as its operation says; where there is no operation, unless it is the error."""
    path = _VERSION.sub("", answer.request.url.path)
    found = _validator(path, answer.request.method.lower(), str(answer.status_code))
    content = answer.json()
    if not found.is_valid(content):
        faults = [f"{fault.instance_path}: {fault.message[:600]}" for fault in _leaves(found, content)]
        raise AssertionError(f"{answer.request.method} {answer.request.url}: {faults}")


def _leaves(found: jsonschema_rs.Draft202012Validator, content: Any) -> list[jsonschema_rs.ValidationError]:
    """The faults of that part of a choice which the answer came closest to."""
    leaves: list[jsonschema_rs.ValidationError] = []
    for fault in found.iter_errors(content):
        branches: list[list[jsonschema_rs.ValidationError]] = [*getattr(fault.kind, "context", ())]
        leaves += sorted(branches, key=len)[0] if branches else [fault]
    return leaves

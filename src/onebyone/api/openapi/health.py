"""The operations for operators, and the description's own."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_type_hints

from onebyone.api.openapi.envelopes import closed
from onebyone.api.openapi.fields import Schema
from onebyone.api.openapi.nested import FLAG, TEXT
from onebyone.api.pipeline_lag import PipelineLag

_TYPES: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", type(None): "null"}
_ROOT = [{"url": "/"}]
"""These paths have no `/current` before them."""


def paths() -> dict[str, Schema]:
    """Path -> operations."""
    ready = closed({"ready": FLAG, "checks": {"type": "object", "additionalProperties": FLAG}})
    hints = get_type_hints(PipelineLag)
    sink = closed({field.name: _typed(hints[field.name]) for field in fields(PipelineLag)})
    text, page = {"text/plain": {"schema": TEXT}}, {"text/html": {"schema": TEXT}}
    document = {"application/json": {"schema": {"type": "object"}}}
    foreign = {"403": {"description": "Not for this address (`ONEBYONE_METRICS_FROM`).", "content": text}}
    return {
        "/readyz": _path("readyz", "May it get traffic?", _yes_or_no(ready)),
        "/livez": _path("livez", "Does it answer at all?", _ok(text)),
        "/sinkz": _path("sinkz", "How far is the counter?", {**_yes_or_no(sink), **foreign}),
        "/metrics": _path("metrics", "Metrics, in the text format of Prometheus", {**_ok(text), **foreign}),
        "/openapi.json": _path("openapi", "This document", _ok(document)),
        "/docs": _path("docs", "A page to read this document and to try the operations", _ok(page)),
    }


def _typed(hint: Any) -> Schema:
    kinds = [_TYPES[kind] for kind in get_args(hint) or (hint,)]
    return {"type": kinds if len(kinds) > 1 else kinds[0]}


def _yes_or_no(schema: Schema) -> Schema:
    content = {"application/json": {"schema": schema}}
    return {"200": {"description": "Yes.", "content": content}, "503": {"description": "No.", "content": content}}


def _ok(content: Schema) -> Schema:
    return {"200": {"description": "The answer.", "content": content}}


def _path(name: str, summary: str, responses: Schema) -> Schema:
    found = {"tags": ["operator"], "operationId": name, "summary": summary, "security": [], "responses": responses}
    return {"servers": _ROOT, "get": found}

"""The operations for operators, and those that serve this description."""

from __future__ import annotations

from pydantic import TypeAdapter

from onebyone.api.openapi.components import FLAG, TEXT, Components, Schema, closed_object
from onebyone.api.pipeline_lag import PipelineLag

_ROOT = [{"url": "/"}]
"""These paths are not served under `/current`."""


def ops_paths(components: Components) -> dict[str, Schema]:
    """Return path -> operations."""
    checks = components.add("ReadinessChecks", {"type": "object", "additionalProperties": FLAG})
    problems = components.add("Problems", {"type": "object", "additionalProperties": TEXT})
    ready = components.add(
        "Readiness", closed_object({"ready": FLAG, "checks": checks, "healthy": FLAG, "problems": problems})
    )
    lag = components.add("PipelineLag", _lag_schema(problems))
    document = components.add("OpenapiDocument", {"type": "object"})
    text, page = {"text/plain": {"schema": TEXT}}, {"text/html": {"schema": TEXT}}
    refused = "Only for operators (`ONEBYONE_METRICS_FROM`, `ONEBYONE_OPS_TOKEN`)."
    forbidden = {"403": {"description": refused, "content": text}}
    return {
        "/readyz": _get("getReadiness", "Ask whether it may get traffic", _yes_or_no(ready)),
        "/livez": _get("getLiveness", "Ask whether it answers at all", _ok(text)),
        "/sinkz": _get("getPipelineLag", "Ask how far the counter is", {**_yes_or_no(lag), **forbidden}),
        "/metrics": _get("getMetrics", "Read the metrics in the text format of Prometheus", {**_ok(text), **forbidden}),
        "/openapi.json": _get("getOpenapi", "Read this document", _ok({"application/json": {"schema": document}})),
        "/docs": _get("getDocs", "Open a page to read this document and to try the operations", _ok(page)),
    }


def _lag_schema(problems: Schema) -> Schema:
    """Return the schema of `/sinkz`; its answer has all fields, and null for what is not known."""
    fields: Schema = TypeAdapter(PipelineLag).json_schema()["properties"]
    for field in fields.values():
        field.pop("title")
        field.pop("default", None)
    return closed_object({**fields, "problems": problems})


def _yes_or_no(schema: Schema) -> Schema:
    content = {"application/json": {"schema": schema}}
    return {"200": {"description": "Yes.", "content": content}, "503": {"description": "No.", "content": content}}


def _ok(content: Schema) -> Schema:
    return {"200": {"description": "The answer.", "content": content}}


def _get(name: str, summary: str, responses: Schema) -> Schema:
    described = {"tags": ["operator"], "operationId": name, "summary": summary, "security": [], "responses": responses}
    return {"servers": _ROOT, "get": described}

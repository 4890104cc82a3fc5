"""The parts that every operation has: its tag, its id, by which clients name a function, and its body."""

from __future__ import annotations

from onebyone.api.openapi.components import COUNT, Schema, pascal_case

PAGE: Schema = {"start_element": COUNT, "num_elements": COUNT}


def operation(verb: str, service: str, summary: str, content: Schema) -> Schema:
    """Return an operation of a service. Its id is verb and service, as in `createLineItem`."""
    return {"tags": [service], "operationId": verb + pascal_case(service), "summary": summary, **content}


def json_body(schema: Schema) -> Schema:
    """Return a required body of JSON."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}

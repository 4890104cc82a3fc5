"""The OpenAPI 3.1 document of the API, built from the tables that drive the services."""

from __future__ import annotations

from functools import cache

import orjson

from onebyone import __version__
from onebyone.api.http.session_token import TOKEN_COOKIE
from onebyone.api.openapi import entity_operations, envelopes, parameters, read_only
from onebyone.api.openapi.components import Components, Schema
from onebyone.api.openapi.entity_schemas import add_entity
from onebyone.api.openapi.list_operations import list_paths
from onebyone.api.openapi.ops_operations import ops_paths
from onebyone.api.openapi.report_operations import report_paths
from onebyone.resources.entities import ENTITIES

_ABOUT = """\
Impression and click trackers, and what they need: advertisers, line items, publishers, placements, payment rules.

**Log in** with `POST /auth`; the browser then sends the cookie that comes with the answer. A script sends the token \
in the header `Authorization`, without `Bearer`.

**Every answer** is `{"response": {...}}` with `status: "OK"`, or with `error_id` and `error`. Most refusals (an \
unknown id, a body with faults) have the HTTP status 200, because existing clients look into the body.

**Input** may be loose: numbers as text, the only element of an array without the array, dates without a time, \
any content type (pages in a browser send `application/json`). Unknown fields and \
parameters are ignored and listed in `dbg_info.warnings`.

**Versions**: `/current/imptracker` and `/v1.16/imptracker` mean `/imptracker`.
"""
_TAGS = {
    "object-limit": "How many objects the member may have, and has.",
    "lookup": "All objects by id and name.",
    "currency": "Currencies of ISO 4217.",
    "label": "Labels for advertisers, publishers, insertion orders and line items.",
    "adserver": "Ad servers that third-party pixels may name.",
    "report": "Reports and feeds.",
    "report-download": "The files of finished reports.",
    "operator": "Health, metrics and this page.",
}


def build_document() -> Schema:
    """Return the whole document: its paths, and the components that they refer to."""
    components = Components()
    read_only.add_shared(components)
    envelopes.add_envelopes(components)
    parameters.add_filter_values(components)
    entity_operations.add_shared(components)
    tags = [{"name": "auth", "description": "Log in, and get a token."}]
    paths = list_paths(components)
    for entity in ENTITIES:
        add_entity(components, entity)
        paths |= entity_operations.entity_paths(components, entity)
        tags.append({"name": entity.service, "description": (entity.__doc__ or "").strip()})
    paths |= report_paths(components) | ops_paths(components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OneByOne config API",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}, {"url": "/current", "description": "The same, for older scripts."}],
        "security": [{"token": []}, {"session": []}],
        "tags": [*tags, *({"name": name, "description": text} for name, text in _TAGS.items())],
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "parameters": parameters.COMPONENTS,
            "headers": envelopes.HEADERS,
            "responses": envelopes.RESPONSES,
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "The token of `/auth`, without `Bearer`.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": TOKEN_COOKIE,
                    "description": "Set by `/auth`; the browser sends it.",
                },
            },
        },
    }


@cache
def encoded_document() -> bytes:
    """Return the document as JSON; it is built once in a process."""
    return orjson.dumps(build_document())

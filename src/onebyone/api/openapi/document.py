"""The OpenAPI 3.1 document of the API, made from the tables that the services themselves work by."""

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

**Logging in.** Send `POST /auth`; from then on the browser sends the cookie that came with the answer. A script sends \
the token as the header `Authorization`, bare, without `Bearer`.

**Answers.** Every answer is `{"response": {...}}` with `status: "OK"`, or with `error_id` and `error`. Most refusals \
have the status 200, because clients of ten years look into the body: an id that is not there, a body with faults.

**Input** is taken loosely: numbers also as text, the one element of an array alone, dates without a time, any \
content type. Unknown fields and parameters are left out and named in `dbg_info.warnings`.

**Versions.** `/current/imptracker` and `/v1.16/imptracker` mean `/imptracker`.
"""
_TAGS = {
    "object-limit": "How many objects the member may have.",
    "lookup": "Everything by id and name.",
    "currency": "Currencies.",
    "label": "Labels that objects may carry.",
    "adserver": "Ad servers; none is known here.",
    "report": "Reports and feeds.",
    "report-download": "Files of reports.",
    "operator": "For load balancers, alarms and people.",
}


def document() -> Schema:
    """Return the whole document."""
    components = Components()
    read_only.add_shared(components)
    envelopes.add_envelopes(components)
    parameters.add_filter_values(components)
    entity_operations.add_shared(components)
    tags = [{"name": "auth", "description": "Logging in."}]
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
        "servers": [{"url": "/"}, {"url": "/current", "description": "The same, as older scripts address it."}],
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
                    "description": "The token of `/auth`, bare.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": TOKEN_COOKIE,
                    "description": "Set by `/auth`; the browser sends it by itself.",
                },
            },
        },
    }


@cache
def encoded() -> bytes:
    """The document as JSON; made once in a process."""
    return orjson.dumps(document())

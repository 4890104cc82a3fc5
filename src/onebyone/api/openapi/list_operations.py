"""The operations that belong to no entity: login, read-only lists, limits and look-ups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onebyone.api.openapi import examples
from onebyone.api.openapi.components import (
    ANY_OBJECT,
    COUNT,
    FLAG,
    INTEGER,
    MOMENT,
    NULL,
    TEXT,
    Components,
    Schema,
    array,
    closed_object,
    enumeration,
    nullable,
    pascal_case,
)
from onebyone.api.openapi.envelopes import add_success, responses
from onebyone.api.openapi.operations import PAGE, json_body, operation
from onebyone.api.openapi.parameters import parameter, shared_parameter
from onebyone.resources.labels import LABELS
from onebyone.resources.lists import catalogue, lookup

_OWNER_ID: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}


def list_paths(components: Components) -> dict[str, Schema]:
    """Return path -> operations."""
    return {
        "/auth": {"post": _log_in(components), "delete": _log_out(components)},
        "/object-limit": {"get": _object_limits(components)},
        "/lookup": {"get": _lookup(components)},
        "/currency": {"get": _currencies(components)},
        "/label": {"get": _labels(components)},
        "/adserver": {"get": _ad_servers(components)},
    }


def _log_in(components: Components) -> Schema:
    # Neither body is closed: unknown keys are ignored here as in every other body.
    credentials = {
        "type": "object",
        "properties": {"username": TEXT, "password": {"type": "string", "format": "password"}},
        "required": ["username", "password"],
    }
    switch = {
        "type": "object",
        "properties": {"switch_to_user": {"type": "integer", "minimum": 1}},
        "required": ["switch_to_user"],
    }
    either = [components.add("Credentials", credentials), components.add("UserSwitch", switch)]
    body = {
        "type": "object",
        "properties": {"auth": {"anyOf": either}},
        "required": ["auth"],
        "examples": [{"auth": dict(examples.CREDENTIALS)}],
    }
    answers = responses(
        add_success(components, "LogIn", {"token": TEXT}),
        description="Logged in: the token, also as a cookie for browsers. Or the reason why not.",
    )
    answers["200"]["headers"] |= {"Set-Cookie": {"description": "The token as a cookie.", "schema": TEXT}}
    return {
        "tags": ["auth"],
        "operationId": "logIn",
        "summary": "Exchange a user name and a password for a token",
        "description": (
            "Logs in. An admin with a token may send `switch_to_user` instead. The token expires two hours after its "
            "last use and after 24 hours at most."
        ),
        "security": [{}, {"token": []}, {"session": []}],
        "requestBody": json_body(components.add("LogInRequest", body)),
        "responses": answers,
    }


def _log_out(components: Components) -> Schema:
    answers = responses(
        add_success(components, "LogOut", {}),
        description="Logged out: the token is no longer valid. Or the reason why not.",
    )
    answers["200"]["headers"] |= {"Set-Cookie": {"description": "An empty cookie that has expired.", "schema": TEXT}}
    return {
        "tags": ["auth"],
        "operationId": "logOut",
        "summary": "End the session of the token",
        "description": "Ends the session of the token that the request carries, and clears the cookie.",
        "responses": answers,
    }


def _currencies(components: Components) -> Schema:
    rate = {"rate_per_usd": nullable(INTEGER), "as_of": NULL}
    row = components.add("Currency", _row_schema(catalogue.CURRENCIES[0], rate))
    rates = parameter("show_rate", "`true`: show the rate too; that of the dollar is known.", FLAG)
    return _list(components, "currency", "currencies", "code", row, rates)


def _labels(components: Components) -> Schema:
    value = components.add("LabelValue", closed_object({"object_id": TEXT, "value": TEXT}))
    row = components.add("Label", _row_schema(catalogue.LABEL_ROWS[0], {"values": nullable(array(value))}))
    types = sorted({label.object_type for label in LABELS})
    of_type = components.add("LabelObjectType", enumeration(types))
    return _list(
        components,
        "label",
        "labels",
        "id",
        row,
        parameter("object_type", "What the label is for.", of_type),
        parameter("show_values", "`true`: show what is written on the objects too.", FLAG),
    )


def _ad_servers(components: Components) -> Schema:
    row = components.add("Adserver", _row_schema(catalogue.AD_SERVERS[0], {}))
    return _list(components, "adserver", "adservers", "id", row)


def _list(components: Components, service: str, plural: str, key: str, row: Schema, *more: Schema) -> Schema:
    name = pascal_case(service)
    one = add_success(components, name, {**PAGE, service: row, "count": {"const": 1}})
    several = add_success(components, f"{name}List", {**PAGE, plural: array(row), "count": COUNT})
    content = {
        "parameters": [
            parameter(key, f"Only the {service} with this {key}; several with commas.", TEXT),
            *map(shared_parameter, ("start_element", "num_elements")),
            *more,
        ],
        "responses": responses(one, several),
    }
    return operation("get", service, f"Read the {plural}", content)


def _row_schema(row: Mapping[str, Any], on_demand: Schema) -> Schema:
    """Return the schema of rows like this one, with keys that the query string may ask for."""
    types = {bool: FLAG, int: INTEGER, str: TEXT, type(None): nullable(TEXT)}
    return closed_object({name: types[type(value)] for name, value in row.items()}, on_demand)


def _object_limits(components: Components) -> Schema:
    limit = closed_object(
        {
            "object_type": TEXT,
            "limit": nullable(INTEGER),
            "mapping_limits": {"anyOf": [array(ANY_OBJECT), ANY_OBJECT]},
            **dict.fromkeys(("count_active", "count_inactive", "count_total"), nullable(COUNT)),
        }
    )
    limits = {
        **dict.fromkeys(("count", "start_element", "num_elements"), NULL),
        "object-limits": array(components.add("ObjectLimit", limit)),
    }
    content = {
        "parameters": [parameter("object_type", "Only this type, as in `line_item` or `creative`.", TEXT)],
        "responses": responses(add_success(components, "ObjectLimitList", limits)),
    }
    return operation("get", "object-limit", "Read how many objects the member may have, and has", content)


def _lookup(components: Components) -> Schema:
    owners = ("advertiser_id", "publisher_id", "member_id")
    row = closed_object(
        {"id": INTEGER, "name": TEXT, "code": nullable(TEXT), "state": TEXT, "last_modified": MOMENT},
        dict.fromkeys(owners, INTEGER),
    )
    of_type = closed_object({"results": nullable(array(components.add("LookupRow", row))), "num_elements": COUNT})
    rows = components.add("LookupRows", of_type)
    by_type = components.add("LookupRowsByType", closed_object({}, dict.fromkeys(lookup.TYPES, rows)))
    found = add_success(components, "Lookup", {"num_elements": COUNT, "start_element": COUNT, "results": by_type})
    object_type = components.add("LookupType", enumeration(lookup.TYPES))
    content = {
        "parameters": [
            parameter("type", "Only this type.", object_type),
            *(parameter(owner, "Only what belongs to this one.", _OWNER_ID) for owner in lookup.OWNERS),
        ],
        "responses": responses(found),
    }
    return operation("get", "lookup", f"Read id, name, code and state of up to {lookup.OBJECTS_MAX} objects", content)

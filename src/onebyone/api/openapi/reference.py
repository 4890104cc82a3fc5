"""The operations that are no entity's: logging in, read-only lists, limits and look-ups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onebyone.api.openapi.envelopes import closed, responses, success
from onebyone.api.openapi.fields import MOMENT, Schema, nullable
from onebyone.api.openapi.nested import FLAG, INTEGER, TEXT
from onebyone.api.openapi.parameters import SAID, parameter, ref
from onebyone.api.openapi.services import COUNT, PAGE, operation
from onebyone.resources.labels import LABELS
from onebyone.resources.lists import catalogue, lookup

_NOTHING: Schema = {"type": "null"}
_SECRET: Schema = {"type": "string", "format": "password"}


def paths() -> dict[str, Schema]:
    """Path -> operations."""
    return {
        "/auth": {"post": _auth()},
        "/object-limit": {"get": _object_limit()},
        "/lookup": {"get": _lookup()},
        "/currency": {"get": _listed("currency", "currencies", "code", _CURRENCY)},
        "/label": {"get": _listed("label", "labels", "id", _LABEL)},
        "/adserver": {"get": _listed("adserver", "adservers", "id", _AD_SERVER)},
    }


def _auth() -> Schema:
    login = closed({"username": TEXT, "password": _SECRET})
    switch = closed({"switch_to_user": {"type": "integer", "minimum": 1}})
    either = [{**body, "additionalProperties": True} for body in (login, switch)]
    body: Schema = {
        "type": "object",
        "properties": {"auth": {"anyOf": either}},
        "required": ["auth"],
        "examples": [{"auth": {"username": "admin", "password": "..."}}],
    }
    answers = responses(success({"token": TEXT}), description="Logged in: also a cookie. Or the reason why not.")
    answers["200"]["headers"] |= {"Set-Cookie": {"description": "The token as a cookie.", "schema": TEXT}}
    more = {
        "description": (
            "Logs in. An admin with a token may send `switch_to_user` instead. The token lives two hours after its "
            "last use and 24 hours at most."
        ),
        "security": [{}, {"token": []}, {"session": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": answers,
    }
    return operation("auth", "log-in", "A token for a user name and a password", more)


def _listed(service: str, plural: str, key: str, row: Schema) -> Schema:
    one = success({**PAGE, service: row, "count": {"const": 1}})
    several = success({**PAGE, plural: {"type": "array", "items": row}, "count": COUNT})
    found = [
        parameter(key, f"Only the {service} with this {key}; several with commas.", TEXT),
        *map(ref, ("start_element", "num_elements")),
    ]
    if service == "label":
        types = sorted({label.object_type for label in LABELS})
        found.append(parameter("object_type", "What the label is for.", {"type": "string", "enum": types}))
        found.append(parameter("show_values", "`true`: show what is written on the objects too.", SAID))
    if service == "currency":
        found.append(parameter("show_rate", "`true`: show the rate too; that of the dollar is known.", SAID))
    return operation(
        service, "get", f"{plural.capitalize()}", {"parameters": found, "responses": responses(one, several)}
    )


def _words(row: Mapping[str, Any]) -> Schema:
    """The schema of a row of texts, numbers and flags."""
    kinds = {bool: FLAG, int: INTEGER, str: TEXT, type(None): nullable(TEXT)}
    return closed({name: kinds[type(value)] for name, value in row.items()})


def _on_demand(row: Schema, more: Schema) -> Schema:
    """The row with keys that are there only when the query string asks for them."""
    return {**row, "properties": row["properties"] | more}


_VALUE = closed({"object_id": TEXT, "value": TEXT})
_CURRENCY = _on_demand(
    _words(catalogue.CURRENCIES[0]), {"rate_per_usd": {"type": ["integer", "null"]}, "as_of": _NOTHING}
)
_LABEL = _on_demand(_words(catalogue.LABEL_ROWS[0]), {"values": nullable({"type": "array", "items": _VALUE})})
_AD_SERVER = _words(catalogue.AD_SERVERS[0])


def _object_limit() -> Schema:
    limit = closed(
        {
            "object_type": TEXT,
            "limit": INTEGER,
            "mapping_limits": {"type": "array"},
            "count_active": COUNT,
            "count_inactive": COUNT,
            "count_total": COUNT,
        }
    )
    nothing = dict.fromkeys(("count", "start_element", "num_elements"), _NOTHING)
    done = success({**nothing, "object-limits": {"type": "array", "items": limit}})
    asked = parameter("object_type", "Only this type, as in `line_item`.", TEXT)
    more = {"parameters": [asked], "responses": responses(done)}
    return operation("object-limit", "get", "How many objects the member may have, and has", more)


def _lookup() -> Schema:
    row: Schema = {
        "type": "object",
        "properties": {
            **dict.fromkeys(("id", "advertiser_id", "publisher_id", "member_id"), INTEGER),
            "name": TEXT,
            "code": nullable(TEXT),
            "state": TEXT,
            "last_modified": MOMENT,
        },
        "required": ["id", "name", "code", "state", "last_modified"],
        "additionalProperties": False,
    }
    of_type = closed({"results": nullable({"type": "array", "items": row}), "num_elements": COUNT})
    kinds: Schema = {"type": "object", "properties": dict.fromkeys(lookup.TYPES, of_type)}
    done = success({"num_elements": COUNT, "start_element": COUNT, "results": {**kinds, "additionalProperties": False}})
    identifier = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
    found = [
        parameter("type", "Only this type.", {"type": "string", "enum": list(lookup.TYPES)}),
        *(parameter(owner, "Only what belongs to this one.", identifier) for owner in lookup.OWNERS),
    ]
    more = {"parameters": found, "responses": responses(done)}
    text = f"Id, name, code and state of up to {lookup.OBJECTS_MAX} objects"
    return operation("lookup", "get", text, more)

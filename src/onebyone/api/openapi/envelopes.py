"""What all answers have in common: the envelope, `dbg_info`, the error and the headers."""

from __future__ import annotations

from typing import get_args

from onebyone.api.http.errors import ErrorId
from onebyone.api.openapi.components import (
    FLAG,
    INTEGER,
    NUMBER,
    TEXT,
    Components,
    Schema,
    array,
    closed_object,
    enumeration,
    nullable,
    reference,
)
from onebyone.api.openapi.field_examples import DBG_INFO

_USAGE = ("reads", "read_limit", "read_limit_seconds", "writes", "write_limit", "write_limit_seconds")
_DBG_INFO: Schema = {
    "instance": TEXT,
    "slave_hit": FLAG,
    "db": TEXT,
    **{f"user::{name}": INTEGER for name in _USAGE},
    **dict.fromkeys(_USAGE, INTEGER),
    "awesomesauce_cache_used": FLAG,
    "count_cache_used": FLAG,
    "uuid": {"type": "string", "format": "uuid"},
    "warnings": {
        **array(TEXT),
        "description": "Fields and parameters that were not used, and what may be unwise.",
    },
    "time": {**NUMBER, "description": "Milliseconds that the answer took."},
    "start_microtime": NUMBER,
    "version": TEXT,
    "slave_lag": INTEGER,
    "member_last_modified_age": INTEGER,
    "output_term": {**TEXT, "description": "The key of the payload, or `not_found`."},
}
_TEXT_OR_NULL = nullable(TEXT)

ERROR: Schema = reference("ErrorResponse")


def add_envelopes(components: Components) -> None:
    """Add the schemas of `dbg_info` and of the error."""
    components.add("DbgInfo", {**closed_object(_DBG_INFO), "examples": [dict(DBG_INFO)]})
    error = {
        "status": {"const": "error"},
        "error_id": enumeration(get_args(ErrorId)),
        "error": {"type": "string", "minLength": 1},
        "error_description": _TEXT_OR_NULL,
        "service": _TEXT_OR_NULL,
        "method": _TEXT_OR_NULL,
        "error_code": _TEXT_OR_NULL,
        "dbg_info": reference("DbgInfo"),
    }
    components.add(
        "Error",
        {
            **closed_object(error),
            "description": (
                "`error_id` is for programs, `error` for people: it lists every fault of a body, each with its path."
            ),
        },
    )
    components.add("ErrorResponse", closed_object({"response": reference("Error")}))


def add_success(components: Components, name: str, fields: Schema) -> Schema:
    """Add a result with these keys between `status` and `dbg_info`, and the envelope around it.

    Return a reference to the envelope, `<name>Response`.
    """
    result = closed_object({"status": {"const": "OK"}, **fields, "dbg_info": reference("DbgInfo")})
    return components.add(f"{name}Response", closed_object({"response": components.add(f"{name}Result", result)}))


_COUNT = {"type": "string", "pattern": "^user:[0-9]+$", "examples": ["user:1"]}
HEADERS: dict[str, Schema] = {
    "X-Ratelimit-Read": {"description": "Reads that a user may make in a minute.", "schema": INTEGER},
    "X-Ratelimit-Write": {"description": "Writes that a user may make in a minute.", "schema": INTEGER},
    "X-Count-Read": {"description": "Reads of this minute.", "schema": _COUNT},
    "X-Count-Write": {"description": "Writes of this minute.", "schema": _COUNT},
    "Retry-After": {"description": "Seconds to wait.", "schema": INTEGER},
}
_ALWAYS = tuple(name for name in HEADERS if name != "Retry-After")


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _failure(description: str, error_id: ErrorId, error: str, code: str | None = None, *headers: str) -> Schema:
    shown = {
        "status": "error",
        "error_id": error_id,
        "error": error,
        "error_description": None,
        "service": "imptracker",
        "method": "GET",
        "error_code": code,
        "dbg_info": DBG_INFO,
    }
    return {
        "description": description,
        "headers": _headers(*_ALWAYS, *headers),
        "content": {"application/json": {"schema": ERROR, "example": {"response": shown}}},
    }


RESPONSES: dict[str, Schema] = {
    "NotLoggedIn": _failure(
        "No token, or one that is no longer valid: log in again.", "NOAUTH", "Authentication failed - not logged in"
    ),
    "RateExceeded": _failure(
        "Too many requests or logins.",
        "SYSTEM",
        "reads limit exceeded: 100 in 60 seconds",
        "RATE_EXCEEDED",
        "Retry-After",
    ),
    "NotFound": _failure("No such report.", "SYNTAX", "report id not found: 1", "NOTFOUND_REPORT"),
    "Fault": _failure("A fault of the server.", "SYSTEM", "internal error", "UNKNOWN"),
    "Unavailable": _failure(
        "The store does not answer.", "SYSTEM", "the configuration store is not available", "SERVICE_UNAVAILABLE"
    ),
}
_STATUSES = {"401": "NotLoggedIn", "429": "RateExceeded", "500": "Fault", "503": "Unavailable"}


def responses(*successes: Schema, description: str = "Done, or the reason why not: see `status`.") -> Schema:
    """Return the responses of an operation.

    Most refusals have status 200 and an error in the envelope, as clients expect.
    """
    return {
        "200": {
            "description": description,
            "headers": _headers(*_ALWAYS),
            "content": {"application/json": {"schema": {"oneOf": [*successes, ERROR]}}},
        },
        **{status: {"$ref": f"#/components/responses/{name}"} for status, name in _STATUSES.items()},
    }

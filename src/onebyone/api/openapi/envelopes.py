"""What every answer has in common: the envelope, `dbg_info`, the error, and the headers."""

from __future__ import annotations

from typing import get_args

from onebyone.api.http.errors import ErrorId
from onebyone.api.openapi.fields import Schema, nullable
from onebyone.api.openapi.nested import FLAG, INTEGER, TEXT

_USE = ("reads", "read_limit", "read_limit_seconds", "writes", "write_limit", "write_limit_seconds")
_TOLD: Schema = {
    "instance": TEXT,
    "slave_hit": FLAG,
    "db": TEXT,
    **{f"user::{name}": INTEGER for name in _USE},
    **dict.fromkeys(_USE, INTEGER),
    "awesomesauce_cache_used": FLAG,
    "count_cache_used": FLAG,
    "uuid": {"type": "string", "format": "uuid"},
    "warnings": {
        "type": "array",
        "items": TEXT,
        "description": "Fields and parameters that were not used, and what may be unwise.",
    },
    "time": {"type": "number", "description": "Milliseconds that the answer took."},
    "start_microtime": {"type": "number"},
    "version": TEXT,
    "slave_lag": INTEGER,
    "member_last_modified_age": INTEGER,
    "output_term": {"type": "string", "description": "The key of the payload, or `not_found`."},
}


def closed(properties: Schema) -> Schema:
    """An object that has all of these keys and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def success(fields: Schema) -> Schema:
    """An envelope with these keys between `status` and `dbg_info`."""
    told = {"$ref": "#/components/schemas/DbgInfo"}
    return closed({"response": closed({"status": {"const": "OK"}, **fields, "dbg_info": told})})


_TEXT_OR_NULL = nullable(TEXT)
SCHEMAS: dict[str, Schema] = {
    "DbgInfo": closed(_TOLD),
    "Error": {
        **closed(
            {
                "response": closed(
                    {
                        "status": {"const": "error"},
                        "error_id": {"type": "string", "enum": list(get_args(ErrorId))},
                        "error": {"type": "string", "minLength": 1},
                        "error_description": _TEXT_OR_NULL,
                        "service": _TEXT_OR_NULL,
                        "method": _TEXT_OR_NULL,
                        "error_code": _TEXT_OR_NULL,
                        "dbg_info": {"$ref": "#/components/schemas/DbgInfo"},
                    }
                )
            }
        ),
        "description": "`error_id` is for programs, `error` for people: every fault of a body at once, with its path.",
    },
}
ERROR: Schema = {"$ref": "#/components/schemas/Error"}

_COUNT = {"type": "string", "pattern": "^user:[0-9]+$"}
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


def _failed(description: str, *headers: str) -> Schema:
    return {
        "description": description,
        "headers": _headers(*_ALWAYS, *headers),
        "content": {"application/json": {"schema": ERROR}},
    }


RESPONSES: dict[str, Schema] = {
    "NotLoggedIn": _failed("No token, or one that is not valid any more: log in again (`NOAUTH`)."),
    "RateExceeded": _failed("Too many requests or logins (`SYSTEM`, `RATE_EXCEEDED`).", "Retry-After"),
    "NotFound": _failed("No such report."),
    "Fault": _failed("A fault of the server (`SYSTEM`)."),
    "Unavailable": _failed("The store does not answer (`SYSTEM`, `SERVICE_UNAVAILABLE`)."),
}
_STATUSES = {"401": "NotLoggedIn", "429": "RateExceeded", "500": "Fault", "503": "Unavailable"}


def responses(*successes: Schema, description: str = "Done, or the reason why not: `status` tells.") -> Schema:
    """Responses of an operation. Most refusals have status 200 and an error in the envelope, as clients expect."""
    return {
        "200": {
            "description": description,
            "headers": _headers(*_ALWAYS),
            "content": {"application/json": {"schema": {"oneOf": [*successes, ERROR]}}},
        },
        **{status: {"$ref": f"#/components/responses/{name}"} for status, name in _STATUSES.items()},
    }

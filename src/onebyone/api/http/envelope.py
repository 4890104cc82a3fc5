"""The envelope of every response, `{"response": {..., "dbg_info": {...}}}`, with the headers that clients read."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from onebyone import __version__
from onebyone.api.http import request_context
from onebyone.api.http.errors import ApiError
from onebyone.api.http.rate_limit import WINDOW_SECONDS

NOT_FOUND = "not_found"
"""`output_term` of a response without a payload object."""

_CACHE_HEADERS = {
    "Cache-Control": "no-store, no-cache, must-revalidate, post-check=0, pre-check=0",
    "Pragma": "no-cache",
    "Expires": "Thu, 19 Nov 1981 08:52:00 GMT",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def success(fields: dict[str, Any], output_term: str = NOT_FOUND) -> Response:
    """Return a 200 with `fields` between `status` and `dbg_info`; `output_term` names the payload's key."""
    return _render({"status": "OK", **fields}, output_term, 200)


def failure(error: ApiError) -> Response:
    """Return the error envelope; it has `status: error` in addition to `error_id`, because clients look for either."""
    context = request_context.current_request()
    fields = {
        "status": "error",
        "error_id": error.error_id,
        "error": error.error,
        "error_description": error.error_description,
        "service": context.service,
        "method": context.method,
        "error_code": error.error_code,
    }
    response = _render(fields, NOT_FOUND, error.status)
    response.headers.update(error.headers)
    return response


def response_headers() -> dict[str, str]:
    """Return the headers of every response, whatever its body."""
    context = request_context.current_request()
    return {
        **_CACHE_HEADERS,
        "X-AN-RequestId": context.request_id,
        "X-Ratelimit-Read": str(context.usage.read_limit),
        "X-Ratelimit-Write": str(context.usage.write_limit),
        "X-Count-Read": f"user:{context.usage.reads}",
        "X-Count-Write": f"user:{context.usage.writes}",
    }


def _render(fields: dict[str, Any], output_term: str, status: int) -> Response:
    content = {"response": {**fields, "dbg_info": _dbg_info(output_term)}}
    return Response(orjson.dumps(content), status, response_headers(), media_type="application/json")


def _dbg_info(output_term: str) -> dict[str, Any]:
    context = request_context.current_request()
    usage = {
        "reads": context.usage.reads,
        "read_limit": context.usage.read_limit,
        "read_limit_seconds": WINDOW_SECONDS,
        "writes": context.usage.writes,
        "write_limit": context.usage.write_limit,
        "write_limit_seconds": WINDOW_SECONDS,
    }
    return {
        "instance": "onebyone",
        "slave_hit": False,
        "db": "master",
        **{f"user::{name}": value for name, value in usage.items()},
        **usage,
        "awesomesauce_cache_used": False,
        "count_cache_used": False,
        "uuid": context.request_id,
        "warnings": context.warnings,
        "time": context.milliseconds,
        "start_microtime": context.started,
        "version": __version__,
        "slave_lag": 0,
        "member_last_modified_age": 0,
        "output_term": output_term,
    }

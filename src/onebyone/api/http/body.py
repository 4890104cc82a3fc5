"""Reads the body of a request as JSON, whatever its content type says."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import orjson
from starlette.requests import Request

from onebyone.api.http.errors import ApiError
from onebyone.errors import Fault, raise_faults

BODY_MAX = 1024 * 1024
"""Bytes of a body, several times the largest object that the rules allow."""
NESTING_MAX = 500
"""Levels of arrays and objects. The search for duplicates recurses, which Python 3.11 ends at 1,000 frames."""


async def read_body(request: Request, limit: int = BODY_MAX) -> Any:
    """Return the parsed body of at most `limit` bytes, None when it is empty. Raise `ApiError` or `Refused`."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise ApiError("SYNTAX", f"the body is larger than {limit} bytes")
    return parse_body(bytes(content)) if content.strip() else None


def parse_body(content: bytes) -> Any:
    """Return the value of UTF-8 JSON (RFC 8259). Raise `ApiError`, or `Refused` when an object repeats a key."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ApiError("SYNTAX", f"the body is not JSON: {error}") from None
    if content.count(b"[") + content.count(b"{") > NESTING_MAX and _nests_too_deep(value):
        raise ApiError("SYNTAX", "the body nests too deep")
    _refuse_repeated_keys(content)
    return value


def _nests_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(NESTING_MAX):
        containers = [each.values() if isinstance(each, dict) else each for each in level]
        level = [inner for container in containers for inner in container if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _refuse_repeated_keys(content: bytes) -> None:
    # orjson silently takes the last of two equal keys, while a proxy may have checked the first.
    repeated: dict[str, None] = {}

    def collect(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            times = Counter(name for name, _ in pairs)
            repeated.update(dict.fromkeys(name for name in times if times[name] > 1))

    json.loads(content, object_pairs_hook=collect, parse_int=len, parse_float=len)
    raise_faults(Fault(name[:100], "given twice in one object") for name in repeated)

"""The JSON of a request's body, whatever its content type says."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import orjson
from starlette.requests import Request

from onebyone.api.http.errors import ApiError
from onebyone.errors import Fault, raise_faults

BODY_MAX = 1024 * 1024
NESTING_MAX = 500
"""Levels of arrays and objects. The search for duplicates recurses, which Python 3.11 ends at 1,000 frames."""


async def read_body(request: Request) -> Any:
    """The parsed body; None when it is empty. Raises `ApiError`."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > BODY_MAX:
            raise ApiError("SYNTAX", f"the body is larger than {BODY_MAX} bytes")
    return parse_body(bytes(found)) if found.strip() else None


def parse_body(content: bytes) -> Any:
    """UTF-8 JSON (RFC 8259) in which no object names a key twice. Raises `ApiError`."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ApiError("SYNTAX", f"the body is not JSON: {error}") from None
    if content.count(b"[") + content.count(b"{") > NESTING_MAX and _nests_too_deep(found):
        raise ApiError("SYNTAX", "the body nests too deep")
    _refuse_twice(content)
    return found


def _nests_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(NESTING_MAX):
        containers = [each.values() if isinstance(each, dict) else each for each in level]
        level = [inner for container in containers for inner in container if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _refuse_twice(content: bytes) -> None:
    # The parser above takes the last of two equal keys without a word: a proxy may have looked at the first.
    twice: dict[str, None] = {}

    def once(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            twice.update(dict.fromkeys(name for name, times in Counter(name for name, _ in pairs).items() if times > 1))

    json.loads(content, object_pairs_hook=once, parse_int=len, parse_float=len)
    raise_faults(Fault(name[:100], "given twice in one object") for name in twice)

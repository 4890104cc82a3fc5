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
    _refuse_twice(content)
    return found


def _refuse_twice(content: bytes) -> None:
    # The parser above takes the last of two equal keys without a word: a proxy may have looked at the first.
    twice: dict[str, None] = {}

    def once(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            twice.update(dict.fromkeys(name for name, times in Counter(name for name, _ in pairs).items() if times > 1))

    try:
        json.loads(content, object_pairs_hook=once, parse_int=len, parse_float=len)
    except RecursionError:
        raise ApiError("SYNTAX", "the body nests too deep") from None
    raise_faults(Fault(name[:100], "given twice in one object") for name in twice)

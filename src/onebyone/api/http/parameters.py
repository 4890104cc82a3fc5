"""Parameters of a read: those of the query string and those of a JSON body, which clients send with GET too.

`nexusadspy` sends ids and pages in no other way, and the original answered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onebyone.api.http.errors import ApiError


def merge_parameters(query: Mapping[str, str], body: Any) -> dict[str, str]:
    """Both, the query string's value first; what nests anything but a list of plain values is no parameter.

    Raises `ApiError`.
    """
    if not isinstance(body, dict):
        return dict(query)
    found = {name: text for name, value in body.items() if (text := _text(value)) is not None}
    if any("\x00" in name or "\x00" in text for name, text in found.items()):
        raise ApiError("SYNTAX", "a parameter in the body holds a NUL")
    return {**found, **query}


def _text(value: Any) -> str | None:
    """A value as a query string has it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case list():
            parts = [_text(part) for part in value if not isinstance(part, list)]
            return ",".join(part for part in parts if part is not None)
        case _:
            return None

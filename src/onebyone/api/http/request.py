"""What a service sees of a request: parsed, authenticated, free of HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from onebyone.auth.caller import Caller


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One call of one service."""

    method: str
    service: str
    query: Mapping[str, str]
    """Decoded query parameters; the first value of a repeated name wins. No value holds a NUL."""
    body: Any
    """The parsed JSON body; None when there was none."""
    caller: Caller
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers, names in lower case."""
    meta: bool = False
    """Whether the path ended in `/meta`: the fields are asked for, not the objects."""


Handler = Callable[[ApiRequest], Awaitable[Response]]

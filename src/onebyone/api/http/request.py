"""A request to one service after the caller was identified, and the function that answers it."""

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
    """Decoded parameters; no value holds a NUL."""
    body: Any
    """The parsed JSON body; None when there was none."""
    caller: Caller
    warnings: list[str] = field(default_factory=list)
    """Warnings that the answer shows in `dbg_info`."""
    meta: bool = False
    """Whether the path ended in `/meta`: the fields are asked for, not the objects."""


Handler = Callable[[ApiRequest], Awaitable[Response]]

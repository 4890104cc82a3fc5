"""What a service sees of a request: parsed, authenticated, free of HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Caller:
    """The user behind a valid session. Every query of a service is limited to `member_id`."""

    user_id: int
    username: str
    name: str
    member_id: int
    timezone: str
    admin: bool = False
    """May audit pixels and act as another user."""
    read_only: bool = False
    limit: tuple[str, int] | None = None
    """`("advertiser_id", 5)`: the user of one advertiser or publisher."""


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

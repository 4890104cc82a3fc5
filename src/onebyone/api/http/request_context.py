"""What a response says about its request: the id, the time it took, warnings, and the caller's usage of the API."""

from __future__ import annotations

import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field

from onebyone.api.http.rate_limit import Usage


@dataclass(slots=True)
class RequestContext:
    """Facts of the current request, for `dbg_info` and the headers."""

    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    service: str | None = None
    method: str | None = None
    usage: Usage = field(default_factory=Usage)
    warnings: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.perf_counter)

    @property
    def milliseconds(self) -> float:
        """Milliseconds since the request arrived."""
        return (time.perf_counter() - self.clock) * 1000


_current: ContextVar[RequestContext] = ContextVar("request_context")


def begin_request() -> RequestContext:
    """Begin the context of the running task."""
    context = RequestContext()
    _current.set(context)
    return context


def current_request() -> RequestContext:
    """Return the context of the running task; a blank one outside a request."""
    return _current.get(None) or RequestContext()

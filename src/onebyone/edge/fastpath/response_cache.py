"""Answers as bytes, as uvicorn would write them: the usual ones are put together once a second, when `Date` changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from onebyone.edge.tags.decision import Decision
from onebyone.edge.tags.responses import Header

_MAX_RESPONSES = 1024

Headers = list[tuple[bytes, bytes]]
"""uvicorn's own headers (`Date`); a new list each second."""


class ResponseCache:
    """Renders decisions; `verdict` gives each its `X-OneByOne` and counts it if it is not recorded."""

    def __init__(self, verdict: Callable[[Decision], Header]) -> None:
        self._verdict = verdict
        self._headers: Headers = []
        self._head = b""
        self._kept: dict[Decision, bytes] = {}

    def render_all(self, decisions: list[Decision], headers: Headers) -> list[bytes]:
        """The answers on connections that stay open."""
        if headers is self._headers:
            # Nearly always all are there: in one call of the interpreter's.
            with suppress(KeyError):
                return [*map(self._kept.__getitem__, decisions)]
        return [self.render(decision, headers) for decision in decisions]

    def render(self, decision: Decision, headers: Headers) -> bytes:
        """The answer on a connection that stays open."""
        if headers is not self._headers:
            self._headers = headers
            self._head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
            self._kept.clear()
        return self._kept.get(decision) or self._render_new(decision)

    def _render_new(self, decision: Decision) -> bytes:
        response = decision.response
        name, value = self._verdict(decision)
        text = b"%b%b%b%b: %b\r\n\r\n%b" % (
            STATUS_LINE[response.status],
            self._head,
            response.block,
            name,
            value,
            response.body,
        )
        # What is not recorded is counted each time.
        if decision.reason is None and len(self._kept) < _MAX_RESPONSES:
            self._kept[decision] = text
        return text


@lru_cache(maxsize=64)
def with_close(text: bytes) -> bytes:
    """The same answer, after which the connection is closed."""
    return text.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)

"""Answers as bytes, as uvicorn would write them: the usual ones are put together once a second, when `Date` changes."""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from onebyone.edge.answers import Header
from onebyone.edge.decision import Decision

_MOST = 1024
_CLOSE = b"connection: close\r\n"

Headers = list[tuple[bytes, bytes]]
"""uvicorn's own headers (`Date`); a new list each second."""


class Wire:
    """Renders decisions; `verdict` gives each its `X-OneByOne` and counts it if it is not recorded."""

    def __init__(self, verdict: Callable[[Decision], Header]) -> None:
        self._verdict = verdict
        self._of: Headers = []
        self._head = b""
        self._kept: dict[Decision, bytes] = {}
        self._last: dict[Decision, bytes] = {}

    def open(self, decision: Decision, headers: Headers) -> bytes:
        """The answer on a connection that stays open."""
        if headers is not self._of:
            self._renew(headers)
        return self._kept.get(decision) or self._render(decision, self._kept, b"")

    def last(self, decision: Decision, headers: Headers) -> bytes:
        """The answer after which the connection is closed."""
        if headers is not self._of:
            self._renew(headers)
        return self._last.get(decision) or self._render(decision, self._last, _CLOSE)

    def _renew(self, headers: Headers) -> None:
        self._of = headers
        self._head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        self._kept.clear()
        self._last.clear()

    def _render(self, decision: Decision, kept: dict[Decision, bytes], close: bytes) -> bytes:
        answer = decision.answer
        name, value = self._verdict(decision)
        text = b"%b%b%b%b: %b\r\n%b\r\n%b" % (
            STATUS_LINE[answer.status],
            self._head,
            answer.block,
            name,
            value,
            close,
            answer.body,
        )
        # What is not recorded is counted each time.
        if decision.reason is None and len(kept) < _MOST:
            kept[decision] = text
        return text

"""Renders responses as uvicorn would write them; a usual one is rendered once a second, when `Date` changes."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from onebyone.edge.tags.decision import Decision

_MAX_RESPONSES = 1024
"""A process rarely sends more different responses in a second; each redirect target is one of its own."""
_MAX_CLOSING_RESPONSES = 64
"""Enough for the images, scripts and a few redirects of the last seconds; the oldest are those of a past `Date`."""


class ResponseCache:
    """The responses of the current second, by decision."""

    def __init__(self, state: ServerState) -> None:
        """Take the server's `state`: uvicorn replaces the list `state.default_headers` whenever `Date` changes."""
        self._state = state
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._header_lines = b""
        self._rendered: dict[Decision, bytes] = {}

    def render_all(self, decisions: list[Decision]) -> list[bytes]:
        """Return the responses for connections that stay open, in the order of `decisions`."""
        if self._state.default_headers is self._default_headers:
            # Usually all of them are cached; then no bytecode runs between two of them.
            with suppress(KeyError):
                return [*map(self._rendered.__getitem__, decisions)]
        return [self.render(decision) for decision in decisions]

    def render(self, decision: Decision) -> bytes:
        """Return the response for a connection that stays open."""
        if self._state.default_headers is not self._default_headers:
            self._default_headers = self._state.default_headers
            self._header_lines = b"".join(b"%b: %b\r\n" % header for header in self._default_headers)
            self._rendered.clear()
        return self._rendered.get(decision) or self._render_new(decision)

    def _render_new(self, decision: Decision) -> bytes:
        name, value = decision.verdict
        response = b"%b%b%b%b: %b\r\n\r\n%b" % (
            STATUS_LINE[decision.response.status],
            self._header_lines,
            decision.response.block,
            name,
            value,
            decision.response.body,
        )
        # The decision of an ignored request is made anew each time: its response would never be found again.
        if decision.reason is None and len(self._rendered) < _MAX_RESPONSES:
            self._rendered[decision] = response
        return response


@lru_cache(maxsize=_MAX_CLOSING_RESPONSES)
def with_close(response: bytes) -> bytes:
    """Return the same response with `Connection: close`."""
    return response.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)

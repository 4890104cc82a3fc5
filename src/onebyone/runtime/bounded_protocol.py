"""uvicorn's HTTP protocol with bounds: on what a client may send before a request is complete, and for how long."""

from __future__ import annotations

import asyncio

from onebyone.runtime.message_protocol import MessageProtocol

HEAD_SECONDS = 20.0
"""How long a client may take to complete its first request head, or one that it has begun: uvicorn itself would wait
forever. A slow mobile network needs a few seconds."""

DRAINING = "draining"
"""The key of the draining event in the application state, where the protocols find it."""


class BoundedProtocol(MessageProtocol):
    """uvicorn's protocol with limits on what a client may send, and how long it may take, before a request is complete.

    A client that does not read its responses is cut off after the keep-alive timeout: closing flushes first, and
    without a reader that would never end.

    While the server drains, every response says `Connection: close`, so that clients reconnect elsewhere.
    """

    _head_timer: asyncio.TimerHandle | None = None
    """Runs while a request head is expected or incomplete."""
    _flush_timer: asyncio.TimerHandle | None = None
    """Runs while the client does not read what was written."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_flush_timer()
        super().connection_lost(exc)

    def on_incomplete_head(self) -> None:
        if self._head_timer is None:
            self._start_head_timer()

    def on_headers_complete(self) -> None:
        if self._head_timer is not None:
            self._stop_head_timer()
        super().on_headers_complete()
        if (draining := self.app_state.get(DRAINING)) is not None and draining.is_set() and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._bound_flush()

    def shutdown(self) -> None:
        super().shutdown()
        self._bound_flush()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_flush_timer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_flush_timer()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _bound_flush(self) -> None:
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._start_flush_timer()

    def _start_flush_timer(self) -> None:
        if self._flush_timer is None:
            self._flush_timer = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_flush_timer(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None

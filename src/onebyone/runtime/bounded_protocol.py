"""uvicorn's HTTP protocol with bounds: on what a client may send in one request, and on how long it may take."""

from __future__ import annotations

import asyncio

from onebyone.runtime.bounded_reading import HeldFlow, SmallReads
from onebyone.runtime.connection_limits import LIMITS, ConnectionLimits
from onebyone.runtime.message_protocol import MessageProtocol
from onebyone.runtime.request_head import MalformedRequest

BODY_MAX = 16 * 1024 * 1024
"""Bytes of a body after which a connection is closed, unless the application state has another number. The API refuses
far shorter ones; so much of the rest is read and dropped for the client to get the refusal."""
HEAD_SECONDS = 20.0
"""How long a client may take to complete its first request head, or one that it has begun: uvicorn itself would wait
forever. A slow mobile network needs a few seconds."""
BODY_SECONDS = 20.0
"""How long a client may take from the end of the head to the end of the body: 50 kB/s for the largest that the API
takes."""
STOP_SECONDS = 1.0
"""How long a stopping process waits for a client that neither sends the rest of its request nor reads its response."""

DRAINING = "draining"
"""The key of the draining event in the application state, where the protocols find it."""
BODY_LIMIT = "body_limit"
"""The key of the number in the application state that takes the place of `BODY_MAX`."""


class BoundedProtocol(MessageProtocol):
    """uvicorn's protocol with limits on what a client may send, and how long it may take, until a request is complete.

    At any time one of these holds, so that no connection is open forever because of its client:

    | the connection waits for | it is closed after |
    |---|---|
    | a head that is the first, or has begun | `HEAD_SECONDS` |
    | the rest of a body, whether or not the request is answered | `BODY_SECONDS` |
    | the next request | the keep-alive timeout |
    | the client to read its responses | the keep-alive timeout |
    | the application | - |

    The last but one holds when the connection closes, too: closing flushes first, and without a reader that would never
    end. While the server drains, every response says `Connection: close`, so that clients reconnect elsewhere.
    """

    _client_timer: asyncio.TimerHandle | None = None
    """Runs while a head or a body is expected or incomplete."""
    _flush_timer: asyncio.TimerHandle | None = None
    """Runs while the client does not read what was written."""
    _unwritten = 0
    """Bytes that were still to be written when `_flush_timer` began."""
    _body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow: HeldFlow = HeldFlow(transport, self._is_held)
        transport.set_protocol(SmallReads(self))
        self._body_max: int = self.app_state.get(BODY_LIMIT, BODY_MAX)
        self._start_client_timer(HEAD_SECONDS)
        limits: ConnectionLimits | None = self.app_state.get(LIMITS)
        if limits is not None and len(self.connections) >= limits.check_at:
            limits.check_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_client_timer()
        self._stop_flush_timer()
        super().connection_lost(exc)

    def on_incomplete_head(self) -> None:
        if self._client_timer is None:
            self._start_client_timer(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        self._stop_client_timer()
        self._body_bytes = 0
        super().on_headers_complete()
        if self._body_announced:
            # What waited until now does not count for this body.
            self.flow.has_paused = self.flow.read_paused
            self._start_client_timer(BODY_SECONDS)
        if self._is_draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes <= self._body_max:
            super().on_body(body)
        elif self._broken is None:
            self._break(MalformedRequest("body too long", 413))

    def on_message_complete(self) -> None:
        self._stop_client_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._bound_flush()

    def shutdown(self) -> None:
        super().shutdown()
        if self._is_draining and self._client_timer is not None:
            self._stop_client_timer()
            self._start_client_timer(STOP_SECONDS)
        if self.transport.get_write_buffer_size():
            self._stop_flush_timer()
            self._start_flush_timer()

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

    @property
    def peer(self) -> str:
        """The address of the other end; empty if it has none."""
        return self.client[0] if self.client else ""

    def client_deadline(self) -> float | None:
        """Return when the connection is closed unless its client does something; None while the client waits."""
        timer = self._flush_timer or self._client_timer or self.timeout_keep_alive_task
        return None if timer is None or self.transport.is_closing() else timer.when()

    def give_way(self) -> None:
        """Close the connection, whose client has to do something, for others to get its place."""
        self.timeout_keep_alive_handler()

    @property
    def _is_draining(self) -> bool:
        draining: asyncio.Event | None = self.app_state.get(DRAINING)
        return draining is not None and draining.is_set()

    def _is_held(self) -> bool:
        return self._has_unread and not self._answered

    def _start_client_timer(self, seconds: float) -> None:
        self._client_timer = self.loop.call_later(seconds, self._on_client_timeout)

    def _on_client_timeout(self) -> None:
        self._client_timer = None
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self._in_body and self.flow.has_paused and not self._is_draining:
            # The client had to wait for the application.
            self.flow.has_paused = self.flow.read_paused
            self._start_client_timer(BODY_SECONDS)
        elif self._in_body:
            self._break(MalformedRequest("body incomplete", 408))
        elif self._has_unread:
            self._refuse(MalformedRequest("head incomplete", 408))
        else:
            self.transport.close()

    def _bound_flush(self) -> None:
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._start_flush_timer()

    def _start_flush_timer(self) -> None:
        if self._flush_timer is None:
            self._unwritten = self.transport.get_write_buffer_size()
            seconds = STOP_SECONDS if self._is_draining else self.timeout_keep_alive
            self._flush_timer = self.loop.call_later(seconds, self._on_flush_timeout)

    def _on_flush_timeout(self) -> None:
        self._flush_timer = None
        if self._is_draining and self.transport.get_write_buffer_size() < self._unwritten:
            # A long response that is being read may take as long as the server waits for its requests.
            self._start_flush_timer()
        else:
            self.transport.abort()

    def _stop_client_timer(self) -> None:
        if self._client_timer is not None:
            self._client_timer.cancel()
            self._client_timer = None

    def _stop_flush_timer(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None

"""uvicorn's HTTP protocol, fed one message at a time.

uvicorn gives its HTTP parser whatever a read returns. Here the parser gets a head only after everything before it is
answered, and then exactly the body that the head announces (`request_head.py`). So whatever is wrong with one request
leaves those before it intact, and what a client sends ahead waits as bytes, not as requests.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from onebyone.runtime import request_head
from onebyone.runtime.refusals import REFUSALS, Refusals
from onebyone.runtime.request_head import MalformedRequest, RefusedTarget

LINGER_SECONDS = 1.0
"""How long the rest of a refused request is read and dropped: a connection that is closed with unread bytes is reset,
and its client may never see the answer."""
CHUNK_FRAMING_MAX = request_head.HEAD_MAX
"""Bytes of chunk sizes, extensions and trailers that may come in a row without content: the parser keeps a trailer in
memory until it is complete, whatever its length, and trailers are what a head may hold."""
_BODY_END = b"\r\n\r\n"
"""What a chunked body ends with, after its last chunk or its trailers; it may also be anywhere inside a chunk."""


class MessageProtocol(HttpToolsProtocol):
    """uvicorn's protocol for messages whose ends are certain; it answers and closes on any other."""

    _unread = b""
    """What the parser has not got: the next head, as far as it is known, or more, and before it what it has got."""
    _position = 0
    """Where in `_unread` the next head begins. Copying the rest for each request would take quadratic time."""
    _searched = 0
    """Where in `_unread` an incomplete head was last searched for its end."""
    _head_expected = False
    """Whether the parser may begin a message: what ends one must not begin the next."""
    _in_message = False
    """Whether the parser has begun a message and not ended it."""
    _in_body = False
    _content_left = 0
    """Bytes of the body that are still to come, unless it is chunked."""
    _chunked = False
    _chunked_tail = b""
    """The last bytes of a chunked body that the parser has got: its end may be split over two reads."""
    _chunk_framing = 0
    """Bytes of a chunked body since its last content."""
    _ended = False
    """Whether the client has ended its side of the connection; it may still read its answers."""
    _broken: MalformedRequest | None = None
    """What is wrong with the body of the last request: nothing after it can be read."""

    _linger_timer: asyncio.TimerHandle | None = None
    """Runs after a refusal."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._broken is not None or self.transport.is_closing():
            return
        if self._in_body:
            data = self._feed_body(data)
        self._unread, self._searched = self._unread[self._position :] + data, self._searched - self._position
        self._position = 0
        self._read_next()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether the connection stays open for answers: a client may end its side and read on."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        self._ended = True
        if self._in_body and self._broken is None:
            self._break(MalformedRequest("body incomplete"))
        return True

    def on_message_begin(self) -> None:
        if not self._head_expected:
            raise MalformedRequest("framing")
        self._head_expected, self._in_message = False, True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are no headers: the application has checked those, and may be reading them.
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._chunk_framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._read_next()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        receive = cycle.receive

        async def receive_unbroken() -> Any:
            message = await receive()
            if self._broken is None or not message.get("more_body"):
                return message
            if not cycle.response_started:
                target = RefusedTarget(cycle.scope["method"].encode(), cycle.scope["raw_path"], b"")
                self._refuse(self._broken, target)
            cycle.disconnected = True
            return {"type": "http.disconnect"}

        cycle.receive = receive_unbroken  # type: ignore[method-assign]
        if cycle.waiting_for_100_continue:
            self._close_unless_invited(cycle)
        super()._start_asgi_task(cycle, app)

    def _close_unless_invited(self, cycle: RequestResponseCycle) -> None:
        """Close after the answer to a request whose body neither came nor was asked for with "100 Continue".

        Its client may leave that body out and go on with the next request (RFC 9110, 10.1.1).
        """
        send = cycle.send

        async def send_and_close(message: Any) -> None:
            if cycle.waiting_for_100_continue and self._in_body:
                cycle.keep_alive = False
            await send(message)

        cycle.send = send_and_close  # type: ignore[method-assign]

    @property
    def _answered(self) -> bool:
        """Whether everything that the parser has got was complete and is answered."""
        return not self._in_message and (self.cycle is None or self.cycle.response_complete)

    @property
    def _has_unread(self) -> bool:
        return self._position < len(self._unread)

    @property
    def _body_announced(self) -> bool:
        return self._chunked or self._content_left > 0

    def _read_next(self) -> None:
        """Give the parser the next message if everything before it is answered; otherwise pause reading."""
        if not self._answered:
            if self._has_unread:
                self.flow.pause_reading()
            return
        start = self._position = request_head.skip_blank_lines(self._unread, self._position)
        if not self._has_unread:
            if self._ended:
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        try:
            end = request_head.find_end(self._unread, start, self._searched)
            self._searched = len(self._unread)
            if not end:
                if self._ended:
                    self.transport.close()
                else:
                    self.on_incomplete_head()
                return
            self._feed_head(self._unread[start:end])
        except MalformedRequest as malformed:
            self._refuse(malformed)
            return
        self._position = self._searched = end
        if self._in_body:
            self._unread, self._position, self._searched = self._feed_body(self._unread[end:]), 0, 0
        self._read_next()

    def on_incomplete_head(self) -> None:
        """Wait for the rest of a head."""

    def _feed_head(self, head: bytes) -> None:
        data, self._content_left, self._chunked = request_head.read_head(head)
        self._chunked_tail, self._chunk_framing = b"", 0
        self._head_expected = True
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise MalformedRequest(str(error)) from None
        if self._head_expected or self._in_message != self._in_body or self._in_body != self._body_announced:
            raise MalformedRequest("framing")

    def _feed_body(self, data: bytes) -> bytes:
        """Give the parser its part of `data`; return the rest."""
        try:
            return self._feed_chunks(data) if self._chunked else self._feed_content(data)
        except MalformedRequest as malformed:
            self._break(malformed)
        except httptools.HttpParserError as error:
            self._break(MalformedRequest(str(error)))
        return b""

    def _feed_content(self, data: bytes) -> bytes:
        content = data[: self._content_left]
        self._content_left -= len(content)
        self.parser.feed_data(content)
        return data[len(content) :]

    def _feed_chunks(self, data: bytes) -> bytes:
        # The parser knows where the body ends, but would not stop there: it gets no more than up to the next place.
        self._chunk_framing += len(data)
        data, start, searched = self._chunked_tail + data, len(self._chunked_tail), 0
        while self._in_body and start < len(data):
            found = data.find(_BODY_END, searched)
            end = len(data) if found < 0 else found + len(_BODY_END)
            self.parser.feed_data(data[start:end])
            start, searched = end, found + 1
        if self._in_body and self._chunk_framing > CHUNK_FRAMING_MAX:
            raise MalformedRequest("chunk framing too long", 431)
        self._chunked_tail = data[:start][1 - len(_BODY_END) :]
        return data[start:]

    def _break(self, malformed: MalformedRequest) -> None:
        """End the connection after the answer to the last request, or refuse that request when its body is asked for.

        An application that answers without the body has perhaps recorded the request already.
        """
        self._broken = malformed
        if self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False
            self.cycle.message_event.set()

    def _refuse(self, malformed: MalformedRequest, target: RefusedTarget | None = None) -> None:
        """Answer the request for `target`, or the head that was read last, and close: where the next one begins is not
        known."""
        target = target or request_head.read_target(self._unread[self._position :])
        refusals: Refusals = self.app_state.get(REFUSALS) or Refusals()
        refusals.log(malformed, target, self.client[0] if self.client else "")
        status, headers, body = refusals.answer(malformed, target)
        lines = [*self.server_state.default_headers, *headers, (b"connection", b"close")]
        head = STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % line for line in lines) + b"\r\n"
        self.transport.write(head if target.method == b"HEAD" else head + body)
        self._broken = malformed
        if self._ended:
            self.transport.close()
            return
        with contextlib.suppress(OSError):
            # The client may have disconnected.
            if self.transport.can_write_eof():
                self.transport.write_eof()
        self.flow.resume_reading()
        self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.timeout_keep_alive_handler)

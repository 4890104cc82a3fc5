"""The fast way: a complete, plain tag request that arrives in one read is answered without ASGI.

uvicorn's own protocol costs two to three times what the decision and its record do: parser callbacks, a scope, a task
and two writes a request. So this protocol, which is uvicorn's with a shorter path in front, recognises the request that
browsers send to a tag, decides it by the same function as the ASGI way (`decision.py`), and writes the same bytes at
once. Whatever is not exactly that request goes, byte for byte, to uvicorn's parser: the fast way looks at whole reads
and never at the parser's work, so it acts only between two messages. When in doubt it declines.

Read `data_received` from top to bottom.
"""

from __future__ import annotations

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from onebyone.edge import visitor
from onebyone.edge.answers import Answer
from onebyone.edge.app import Edge
from onebyone.edge.decision import HEADERS, PATHS, Decision, Kind, Request
from onebyone.edge.reasons import Reason
from onebyone.web_server import BoundedProtocol

HEAD_MAX = 16_384
"""Bytes of a head that the fast way looks at; a longer one is nothing that a browser sends to a tag."""

_LINE = re.compile(rb"GET (/[a-z]+)\?([!-\"$-~]+) HTTP/1\.1")
_HEADER = re.compile(rb"([A-Za-z0-9-]+): ([!-~\x80-\xff][\t -~\x80-\xff]*)(?<![ \t])")
_KINDS: dict[bytes, Kind] = {path.encode(): kind for path, kind in PATHS.items()}
_NOT_PLAIN = (b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"proxy-connection")
"""Headers that change what the bytes mean, for uvicorn or for its parser."""
_CLOSE = (b"connection", b"close")
_LINES = 4096
_LINE_MAX = 256

Header = tuple[bytes, bytes]


class _Lines(dict[bytes, Header | None]):
    """Header lines that came before: what a decision reads of them, None: nothing. Few are new, but for referrers.

    A line that is not plain is a `ValueError`.
    """

    def __missing__(self, line: bytes) -> Header | None:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise ValueError(line)
        name, value = match[1].lower(), match[2]
        header = (name, value) if name in HEADERS else None
        if name == b"connection" and value.lower() == b"close":
            header = _CLOSE
        elif name in _NOT_PLAIN and (name, value.lower()) != (b"connection", b"keep-alive"):
            raise ValueError(line)
        if name != b"referer" and len(line) <= _LINE_MAX:
            if len(self) >= _LINES:
                self.clear()
            self[line] = header
        return header


_lines = _Lines()


def read(data: bytes) -> tuple[Kind, bytes, dict[bytes, bytes], bool] | None:
    """The plain tag request that `data` is: kind, query string, headers (`HEADERS`), whether the connection is to be
    closed. None for everything else."""
    if data[-4:] != b"\r\n\r\n" or len(data) > HEAD_MAX:
        return None
    lines = data[:-4].split(b"\r\n")
    first = _LINE.fullmatch(lines[0])
    if first is None:
        return None
    kind = _KINDS.get(first[1])
    if kind is None:
        return None
    known = _lines
    headers: dict[bytes, bytes] = {}
    del lines[0]
    try:
        for line in lines:
            header = known[line]
            if header is not None:
                name, value = header
                if name in headers:
                    return None
                headers[name] = value
    except ValueError:
        return None
    return kind, first[2], headers, headers.pop(b"connection", None) is not None


class FastWay(BoundedProtocol):
    """One connection of the edge. `_ours` holds between two messages; else uvicorn's parser has the connection."""

    def __init__(self, edge: Edge, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._edge = edge
        self._ours = True
        self._between = True
        self._waiting: tuple[Kind, Decision] | None = None
        self._held: list[bytes] = []
        self._close_next = False
        self._answered_at = 0.0

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None:
            # The client does not wait for its answer; one request at a time keeps answers in order and memory bounded.
            self._held.append(data)
            self.flow.pause_reading()
            return
        if not (self._ours or self._parser_has_finished()):
            super().data_received(data)
            return
        edge = self._edge
        plain = read(data)
        if plain is None or edge.draining or self.flow.write_paused or self.transport.is_closing():
            self._decline(data)
            return
        kind, query, headers, close = plain
        peer = self.client[0] if self.client else ""
        address = visitor.client_address(peer, headers.items(), edge.proxies) if edge.proxies else peer
        try:
            decision = edge.decisions.decide(Request(kind, "GET", query, headers, address))
        except Exception:
            # `Cold`; or a fault, which the ASGI way will meet again, log, and answer with a 500.
            self._decline(data)
            return
        self._close_next = close
        if self._head_timer is not None:
            self._forget_head()
        if decision.line is None or decision.lost is None:
            self._answer(kind, decision.answer, decision.reason)
        elif not edge.wait_for_disk:
            if edge.commits.add(decision.line, None):
                self._answer(kind, decision.answer, None)
            else:
                self._answer(kind, decision.lost, Reason.OVERLOAD)
        elif edge.commits.add(decision.line, self._settled):
            self._waiting = kind, decision
        else:
            self._answer(kind, decision.lost, Reason.OVERLOAD)

    def _settled(self, recorded: bool) -> None:
        """The event is on disk, or the disk refused it."""
        if self._waiting is None:
            return
        (kind, decision), self._waiting = self._waiting, None
        if recorded or decision.lost is None:
            self._answer(kind, decision.answer, None)
        else:
            self._answer(kind, decision.lost, Reason.JOURNAL)
        if self._held:
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        data, self._held = b"".join(self._held), []
        if data and not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(data)

    def _answer(self, kind: Kind, answer: Answer, reason: Reason | None) -> None:
        """Writes the bytes that uvicorn would, in one write."""
        name, value = self._edge.verdict(kind, reason)
        if self.transport.is_closing():
            # uvloop raises when a closed transport is written to.
            return
        self.server_state.total_requests += 1
        close = self._close_next or self._edge.draining
        self.transport.write(
            b"%b%b%b%b: %b\r\n%b\r\n%b"
            % (
                STATUS_LINE[answer.status],
                _default_headers(self.server_state.default_headers),
                answer.block,
                name,
                value,
                b"connection: close\r\n" if close else b"",
                answer.body,
            )
        )
        if close:
            self.transport.close()
            return
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _decline(self, data: bytes) -> None:
        self._ours = False
        super().data_received(data)

    def _parser_has_finished(self) -> bool:
        """Whether uvicorn has answered all that its parser has seen, and the connection goes on as before."""
        self._ours = self._between and not self.pipeline and self.cycle is not None and self.cycle.response_complete
        return self._ours

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        # After an upgrade or a close the parser reads what follows in its own way.
        self._between = self.parser.should_keep_alive() and not self.parser.should_upgrade()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._answered_at = self.loop.time()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """One timer lasts for many requests: when it fires early for the last of them, it is set for the rest."""
        self.timeout_keep_alive_task = None
        if self._waiting is not None:
            return
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0.001:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        if self._waiting is None:
            super().shutdown()
        else:
            self._close_next = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._held.clear()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()


_rendered: tuple[list[tuple[bytes, bytes]] | None, bytes] = (None, b"")


def _default_headers(headers: list[tuple[bytes, bytes]]) -> bytes:
    """uvicorn's own headers (`Date`) as bytes; uvicorn makes a new list each second."""
    global _rendered
    if _rendered[0] is not headers:
        _rendered = headers, b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return _rendered[1]

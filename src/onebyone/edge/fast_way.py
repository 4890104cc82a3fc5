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

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from onebyone.edge import visitor
from onebyone.edge.answers import Answer
from onebyone.edge.app import Edge
from onebyone.edge.decision import PATHS, Cold, Decision, Kind, Request
from onebyone.edge.reasons import Reason

HEAD_MAX = 16_384
"""Bytes of a head that the fast way looks at; a longer one is nothing that a browser sends to a tag."""

_LINE = re.compile(rb"GET (/[a-z]+)\?([!-\"$-~]+) HTTP/1\.1\r")
_HEADER = re.compile(rb"\n([A-Za-z0-9-]+): ([!-~\x80-\xff][\t -~\x80-\xff]*)(?<![ \t])\r")
_KINDS: dict[bytes, Kind] = {path.encode(): kind for path, kind in PATHS.items()}
_NOT_PLAIN = frozenset((b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"proxy-connection"))
"""Headers that change what the bytes mean, for uvicorn or for its parser; `connection` is looked at by itself."""
_KEEP = (b"keep-alive", b"Keep-Alive")


class _Names(dict[bytes, bytes]):
    """Header names in lower case. Senders spell a few names in a few ways: each is lowered once."""

    def __missing__(self, name: bytes) -> bytes:
        lower = name.lower()
        if len(self) < 1000:
            self[name] = lower
        return lower


_names = _Names()


def read(data: bytes) -> tuple[Kind, bytes, dict[bytes, bytes]] | None:
    """Kind, query string and headers of a plain tag request that is all of `data`; None for everything else."""
    line = _LINE.match(data)
    if line is None or data[-4:] != b"\r\n\r\n" or len(data) > HEAD_MAX:
        return None
    kind = _KINDS.get(line[1])
    if kind is None:
        return None
    pairs = _HEADER.findall(data, line.end())
    # Each match takes one line's `\n` and the next one's `\r`, so equal counts leave no byte that was not looked at:
    # no folded line, no bare CR or LF, no empty or oddly padded value, no second request behind the first.
    if data.count(b"\n") != len(pairs) + 2 or data.count(b"\r") != len(pairs) + 2:
        return None
    names = _names
    headers = {names[name]: value for name, value in pairs}
    if len(headers) != len(pairs) or not _NOT_PLAIN.isdisjoint(headers):
        return None
    if headers.get(b"connection", b"keep-alive") not in _KEEP:
        return None
    return kind, line[2], headers


class FastWay(HttpToolsProtocol):
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
        kind, query, headers = plain
        peer = self.client[0] if self.client else ""
        address = visitor.client_address(peer, headers.items(), edge.proxies) if edge.proxies else peer
        try:
            decision = edge.decisions.decide(Request(kind, "GET", query, headers, address))
        except Cold:
            self._decline(data)
            return
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

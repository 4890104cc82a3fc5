"""The fast way: a complete, plain tag request that arrives in one read is answered without ASGI.

uvicorn's own protocol costs several times what the decision and its record do: parser callbacks, a scope, a task and
two writes a request. So this protocol stands in front of uvicorn's: it recognises the request that browsers send to a
tag, decides it by the same function as the ASGI way (`decision.py`), and writes the same bytes at once. For whatever is
not exactly that request it makes uvicorn's protocol, which gets all bytes from there on until it has answered all that
it has seen. The fast way looks at whole reads and never at the parser's work. When in doubt it declines.

Read `data_received` from top to bottom.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, TypeVar, cast

import uvicorn
from uvicorn.server import ServerState

from onebyone.edge import query, visitor
from onebyone.edge.app import Edge
from onebyone.edge.decision import HEADERS, PATHS, Decision, Kind
from onebyone.edge.idle import Idle
from onebyone.edge.query import Tag
from onebyone.edge.reasons import Reason
from onebyone.edge.visitor import Visitor
from onebyone.web_server import HEAD_SECONDS, BoundedProtocol

HEAD_MAX = 16_384
"""Bytes of a head that the fast way looks at; a longer one is nothing that a browser sends to a tag."""

_USUAL = re.compile(rb"GET (/[a-z]+)\?" + query.USUAL + rb" HTTP/1\.1\r\n")
_LINE = re.compile(rb"GET (/[a-z]+)\?([!-\"$-~]+) HTTP/1\.1\r\n")
_VALUE = re.compile(rb"[!-~\x80-\xff][\t -~\x80-\xff]*(?<![ \t])")
_HEADER = re.compile(rb"([A-Za-z0-9-]+): (" + _VALUE.pattern + rb")")
_KINDS: dict[bytes, Kind] = {path.encode(): kind for path, kind in PATHS.items()}
_NOT_PLAIN = (b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"proxy-connection")
"""Headers that change what the bytes mean, for uvicorn or for its parser."""
_CLOSE = (b"connection", b"close")

Header = tuple[bytes, bytes]
Seen = TypeVar("Seen")

Plain = tuple[Kind, Tag, Visitor, bytes, bytes | None, bool]
"""A plain tag request: kind, tag, visitor, referrer (member of an event line), the value of `X-Forwarded-For`, whether
the client wants the connection closed."""

_Block = tuple[Visitor, bytes, bytes | None, bool]
"""What header lines say, taken together: the last four of `Plain`."""


class _Memo(dict[bytes, Seen]):
    """What bytes that came before were read as; it forgets all of it rather than grow."""

    _MOST = 4096

    def keep(self, read: bytes, seen: Seen) -> None:
        if len(self) >= self._MOST:
            self.clear()
        self[read] = seen


class _Blocks(_Memo[_Block]):
    """Headers that came before, as they came, without the referrer: a browser says the same with each request, and many
    browsers say the same. What is not plain is a `ValueError`."""

    _LONGEST = 2048

    def __missing__(self, lines: bytes) -> _Block:
        headers: dict[bytes, bytes] = {}
        for line in lines.split(b"\r\n")[:-1]:
            if (header := _lines[line]) is not None:
                if header[0] in headers:
                    raise ValueError(line)
                headers[header[0]] = header[1]
        referrer = headers.get(b"referer")
        forwarded = headers.get(b"x-forwarded-for")
        block = (
            visitor.read(headers),
            b"" if referrer is None else visitor.referrer(referrer),
            forwarded,
            b"connection" in headers,
        )
        # What names the client is new with each client, and others' would give way to it.
        if forwarded is None and len(lines) <= self._LONGEST:
            self.keep(lines, block)
        return block


class _Lines(_Memo[Header | None]):
    """Header lines that came before: what is read of them, None: nothing. What is not plain is a `ValueError`."""

    _LONGEST = 256

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
        if len(line) <= self._LONGEST:
            self.keep(line, header)
        return header


class _Referrers(_Memo[bytes]):
    """Pages that came before, as members of an event line. What is not plain is a `ValueError`."""

    def __missing__(self, value: bytes) -> bytes:
        if _VALUE.fullmatch(value) is None:
            raise ValueError(value)
        member = visitor.referrer(value)
        self.keep(value, member)
        return member


_new = tuple.__new__
_blocks, _lines, _referrers = _Blocks(), _Lines(), _Referrers()


def read(data: bytes) -> Plain | None:
    """The plain tag request that `data` is, whole; None for everything else."""
    if data[-4:] != b"\r\n\r\n" or len(data) > HEAD_MAX:
        return None
    match = _USUAL.match(data)
    if match is not None:
        path, number, script, cachebuster, ancost = match.groups()
        tag = _new(
            Tag,
            (
                int(number),
                None if script is None else script == b"1",
                b"" if cachebuster is None else b',"cb":"%b"' % cachebuster,
                ancost,
                query.NO_SIGNALS,
                None,
                False,
            ),
        )
    else:
        match = _LINE.match(data)
        if match is None:
            return None
        path = match[1]
        tag = query.read(match[2])
    kind = _KINDS.get(path)
    if kind is None:
        return None
    start = match.end()
    at = data.rfind(b"\r\nReferer: ", start)
    try:
        if at < 0:
            sender, referrer, forwarded, close = _blocks[data[start:-2]]
            return kind, tag, sender, referrer, forwarded, close
        end = data.index(b"\r\n", at + 11)
        sender, referrer, forwarded, close = _blocks[data[start:at] + data[end:-2]]
        # Which of two counts is not for the fast way to say.
        return None if referrer else (kind, tag, sender, _referrers[data[at + 11 : end]], forwarded, close)
    except ValueError:
        return None


class _Parser(BoundedProtocol):
    """uvicorn's protocol, and whether it stands between two messages."""

    _between = True

    def has_finished(self) -> bool:
        """Whether it has answered all that its parser has seen, and the connection goes on as before."""
        return self._between and not self.pipeline and self.cycle is not None and self.cycle.response_complete

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        # After an upgrade or a close the parser reads what follows in its own way.
        self._between = self.parser.should_keep_alive() and not self.parser.should_upgrade()
        super().on_message_complete()

    def leave(self) -> None:
        """The connection goes on without it."""
        self._unset_keepalive_if_required()
        self._forget_head()
        self.connections.discard(self)


class FastWay(asyncio.Protocol):
    """One connection of the edge."""

    __slots__ = (
        "_app_state",
        "_close_next",
        "_config",
        "_deadline",
        "_edge",
        "_held",
        "_idle",
        "_loop",
        "_network",
        "_parser",
        "_peer",
        "_state",
        "_transport",
        "_waiting",
        "_writes_paused",
    )

    def __init__(
        self,
        edge: Edge,
        idle: Idle,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._edge = edge
        self._idle = idle
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._loop = idle.loop
        self._parser: _Parser | None = None
        """Has the connection, while it is there and has not finished."""
        self._waiting: Decision | None = None
        self._held: list[bytes] = []
        self._close_next = False
        self._writes_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer: str = peer[0] if isinstance(peer, tuple) else ""
        self._network = visitor.network(self._peer)
        self._deadline = self._loop.time() + HEAD_SECONDS
        self._state.connections.add(cast(Any, self))
        self._idle.add(self)

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None:
            # The client does not wait for its answer; one request at a time keeps answers in order and memory bounded.
            self._held.append(data)
            self._transport.pause_reading()
            return
        parser = self._parser
        if parser is not None and not parser.has_finished():
            parser.data_received(data)
            return
        edge = self._edge
        plain = read(data)
        if plain is None or edge.draining or self._writes_paused:
            self._decline(data)
            return
        kind, tag, sender, referrer, forwarded, close = plain
        network = self._network
        if edge.proxies and forwarded is not None:
            hops = [(b"x-forwarded-for", forwarded)]
            network = visitor.network(visitor.client_address(self._peer, hops, edge.proxies))
        try:
            decision, line = edge.decisions.decide(kind, tag, sender, referrer, network)
        except Exception:
            # `Cold`; or a fault, which the ASGI way will meet again, log, and answer with a 500.
            self._decline(data)
            return
        if parser is not None:
            parser.leave()
            self._parser = None
        self._close_next = close
        if line is None:
            self._answer(decision)
        elif not edge.wait_for_disk:
            self._answer(decision if edge.commits.add(line, None) else decision.unless(Reason.OVERLOAD))
        elif edge.commits.add(line, self):
            self._waiting = decision
        else:
            self._answer(decision.unless(Reason.OVERLOAD))

    def settled(self, recorded: bool) -> None:
        """The event is on disk, or the disk refused it."""
        decision = self._waiting
        if decision is None:
            return
        self._waiting = None
        self._answer(decision if recorded else decision.unless(Reason.JOURNAL))
        if self._held:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        data = b"".join(self._held)
        self._held.clear()
        if data and not self._transport.is_closing():
            self._transport.resume_reading()
            self.data_received(data)

    def _answer(self, decision: Decision) -> None:
        """Writes the bytes that uvicorn would, in one write."""
        wire = self._edge.wire
        if self._transport.is_closing():
            # uvloop raises when a closed transport is written to.
            self._edge.verdict(decision)
        elif self._close_next or self._edge.draining:
            self._transport.write(wire.last(decision, self._state.default_headers))
            self._transport.close()
        else:
            self._transport.write(wire.open(decision, self._state.default_headers))
            self._deadline = self._loop.time() + self._config.timeout_keep_alive

    def _decline(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = _Parser(self._config, self._state, self._app_state, self._loop)
            self._parser.connection_made(self._transport)
        self._parser.data_received(data)

    def close_if_idle(self, now: float) -> None:
        """Closes a connection that has been silent for too long; uvicorn's protocol looks after its own."""
        if self._waiting is None and self._parser is None and now >= self._deadline:
            self._transport.close()

    def shutdown(self) -> None:
        """The server wants the connection closed, behind the answer that it waits for. Called by uvicorn."""
        if self._waiting is not None:
            self._close_next = True
        elif self._parser is None:
            self._transport.close()

    def pause_writing(self) -> None:
        self._writes_paused = True
        if self._parser is not None:
            self._parser.pause_writing()

    def resume_writing(self) -> None:
        self._writes_paused = False
        if self._parser is not None:
            self._parser.resume_writing()

    def eof_received(self) -> None:
        if self._parser is not None:
            self._parser.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._held.clear()
        self._waiting = None
        self._idle.discard(self)
        self._state.connections.discard(cast(Any, self))
        if self._parser is not None:
            self._parser.connection_lost(exc)

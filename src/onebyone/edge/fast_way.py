"""The fast way: a complete, plain tag request that arrives in one read is answered without ASGI.

uvicorn's own protocol costs several times what the decision and its record do: parser callbacks, a scope, a task and
two writes a request. So this protocol stands in front of uvicorn's: what a read brought goes to its turn (`turns.py`),
which recognises the request that browsers send to a tag (`plain.py`), decides it as the ASGI way does (`decision.py`)
and has it on disk before it is answered by the same bytes. For whatever is not exactly that request it makes uvicorn's
protocol, which gets all bytes from there on until it has answered all that it has seen.

Read `data_received` from top to bottom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog
import uvicorn
from uvicorn.server import ServerState

from onebyone.edge import plain, visitor, wire
from onebyone.edge.app import Edge
from onebyone.edge.decision import Decision
from onebyone.edge.idle import Idle
from onebyone.edge.turns import Turns
from onebyone.web_server import HEAD_SECONDS, BoundedProtocol

_log = structlog.get_logger()


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


class FastWays:
    """Makes the protocol of each connection of an edge, as uvicorn asks for it."""

    def __init__(self, edge: Edge, loop: asyncio.AbstractEventLoop) -> None:
        self.edge = edge
        self.loop = loop
        self.idle = Idle(loop)
        self.turns: Turns
        self.config: uvicorn.Config | None = None
        self.state: ServerState
        self.app_state: dict[str, Any]

    def __call__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> FastWay:
        if self.config is not config:
            self.config, self.state, self.app_state = config, server_state, app_state
            self.turns = Turns(self.edge, self.loop, config.timeout_keep_alive, server_state)
        return FastWay(self)


class FastWay(asyncio.Protocol):
    """One connection of the edge."""

    __slots__ = (
        "_arrived",
        "_closes",
        "_held",
        "_parser",
        "_paused_until",
        "_transport",
        "_ways",
        "network",
        "peer",
        "silent_until",
        "write",
    )

    def __init__(self, ways: FastWays) -> None:
        self._ways = ways
        self._arrived = ways.turns.arrived
        self._parser: _Parser | None = None
        """Has the connection, while it is there and has not finished."""
        self._held: list[bytes] | None = None
        self._closes = False
        """The next answer is the last."""
        self._paused_until: float | None = None
        """When it is closed if it does not read its answers by then; None: it does."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.write: Callable[[bytes], None] = self._transport.write
        peer = transport.get_extra_info("peername")
        self.peer: str = peer[0] if isinstance(peer, tuple) else ""
        self.network = visitor.network(self.peer)
        ways = self._ways
        self.silent_until: float | None = ways.loop.time() + HEAD_SECONDS
        """When it is closed; None: a request is under way, it is the parser's, or the client does not read."""
        ways.state.connections.add(cast(Any, self))
        ways.idle.add(self)
        ways.turns.new_connections = True

    def data_received(self, data: bytes) -> None:
        if self.silent_until is None:
            self._more(data)
            return
        self.silent_until = None
        if not self._arrived:
            self._ways.turns.expect()
        self._arrived.append((self, data))

    def _more(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            if self._paused_until is not None:
                self.decline(data)
                return
            # The client does not wait for its answer; one request at a time keeps answers in order and memory bounded.
            if self._held is None:
                self._held = []
                if not self._closes:
                    self.write = self._write_and_go_on
            self._held.append(data)
            self._transport.pause_reading()
        elif parser.has_finished() and self._paused_until is None and plain.read(data) is not None:
            parser.leave()
            self._parser = None
            self.silent_until = 0.0
            self.data_received(data)
        else:
            parser.data_received(data)

    def answer(self, decision: Decision) -> None:
        """Gives an answer by itself."""
        ways = self._ways
        if ways.edge.draining:
            self.close_behind()
        self.silent_until = ways.loop.time() + ways.turns.keep_alive
        self.write(ways.edge.wire.text(decision, ways.state.default_headers))

    def close_behind(self) -> None:
        """The next answer is the last."""
        self._closes = True
        self.write = self._write_and_close

    def decline(self, data: bytes) -> None:
        """uvicorn's protocol has the connection."""
        ways = self._ways
        if self._transport.is_closing():
            return
        self.silent_until = None
        self.write = self._transport.write
        if self._parser is None:
            self._parser = _Parser(cast(uvicorn.Config, ways.config), ways.state, ways.app_state, ways.loop)
            self._parser.connection_made(self._transport)
            if self._paused_until is not None:
                self._parser.pause_writing()
        if self._held is not None:
            # In one read, so that the parser's own flow control begins where it may read.
            data, self._held = b"".join((data, *self._held)), None
            self._transport.resume_reading()
        try:
            self._parser.data_received(data)
        except Exception:
            # As the loop does with what `data_received` raises; the others of the turn must not notice.
            _log.exception("a request could not be read")
            self._transport.abort()
        if self._closes:
            self._parser.shutdown()

    def _write_and_close(self, text: bytes) -> None:
        self.write = _ignored
        if not self._transport.is_closing():
            self._transport.write(wire.last(text))
            self._transport.close()

    def _write_and_go_on(self, text: bytes) -> None:
        self.write = self._transport.write
        self._transport.write(text)
        self._ways.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        held, self._held = self._held, None
        if held is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self.data_received(b"".join(held))

    def close_if_idle(self, now: float) -> None:
        """Closes a connection that has been silent for too long, or has not read its answers for as long; uvicorn's
        protocol looks after its own silence."""
        if self._paused_until is not None:
            if now >= self._paused_until:
                # What it does not read could never be flushed.
                self._transport.abort()
        elif self.silent_until is not None and now >= self.silent_until:
            self._transport.close()

    def shutdown(self) -> None:
        """The server wants the connection closed, behind the answer that it waits for. Called by uvicorn."""
        if self._parser is None:
            if self.silent_until is None and self._paused_until is None:
                self.close_behind()
            else:
                self._transport.close()

    def pause_writing(self) -> None:
        self.silent_until = None
        self._paused_until = self._ways.loop.time() + self._ways.turns.keep_alive
        if self._parser is not None:
            self._parser.pause_writing()

    def resume_writing(self) -> None:
        self.silent_until, self._paused_until = self._paused_until, None
        if self._parser is not None:
            self.silent_until = None
            self._parser.resume_writing()

    def eof_received(self) -> None:
        if self._parser is not None:
            self._parser.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = None
        self.write = _ignored
        self._ways.idle.discard(self)
        self._ways.state.connections.discard(cast(Any, self))
        if self._parser is not None:
            self._parser.connection_lost(exc)


def _ignored(text: bytes) -> None:
    """The client has gone."""

"""A request batcher without sockets and without a journal."""

from __future__ import annotations

import asyncio
import os
from typing import Any, cast

import orjson
from uvicorn.server import ServerState

from onebyone.edge.configuration.cache import ConfigCache, Tracker
from onebyone.edge.fastpath import request_parser
from onebyone.edge.fastpath.batcher import RequestBatcher
from onebyone.edge.fastpath.connection import AWAITING_DISK, IDLE, Connection, ConnectionOwner
from onebyone.edge.fastpath.response_cache import ResponseCache
from onebyone.edge.journal.group_commit import GroupCommit, Waiter
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags.client import network_member
from onebyone.edge.tags.decision import CacheMiss, Decision
from onebyone.settings import Settings
from tests.edge.edge_process import tracker

Outcome = tuple[str, str | None, dict[str, Any] | None]
"""Declined, closed or kept; the reason, or the content type of the response; the event without id and time."""


class Client(Connection):
    """A connection that notes what the batcher does with it; its socket is a pipe."""

    def __init__(self, peer: str = "203.0.113.9") -> None:
        self._end, fd = os.pipe()
        super().__init__(cast(ConnectionOwner, None), fd, (peer, 1234), 0.0)
        self.text = b""
        self.declined: list[bytes] = []
        self.answers: list[Decision] = []
        self.closed = False

    def respond(self, decision: Decision) -> None:
        self.answers.append(decision)

    def on_written(self, response: bytes, written: int) -> None:
        assert written == len(response)
        self.closed = self.close_after_response

    def hold(self) -> None:
        self.state = AWAITING_DISK

    def watch(self) -> None:
        assert self.state is IDLE, "it was never held"

    def decline(self, data: bytes) -> None:
        self.declined.append(data)

    def close(self) -> None:
        self.closed = True

    def receive(self) -> None:
        """Close the socket, and put all that was written to it in `text`."""
        os.close(self.fd)
        while chunk := os.read(self._end, 65_536):
            self.text += chunk
        os.close(self._end)

    @property
    def location(self) -> bytes | None:
        return None if self.declined else self.text.partition(b"location: ")[2].partition(b"\r\n")[0]


class BatcherHarness:
    """A request batcher whose group commit is a list."""

    def __init__(self, **settings: Any) -> None:
        self.lines: list[bytes] = []
        self.groups: list[int] = []
        self.lookups = ConfigCache(cast(Any, None), 4, None)
        self.publish(tracker("imp", 531), tracker("clk", 531, click_url="https://landing.example/"))
        self.recorder = Recorder(Settings(**settings), self.lookups, cast(GroupCommit, self), asyncio.Event())
        self.connections: dict[int, Client] = {}
        self.responses = ResponseCache(ServerState())
        self.batcher = RequestBatcher(self.recorder, self.responses, 100_000, lambda: 1075.0, self.connections)

    def publish(self, *records: Any) -> None:
        for record in records:
            lookup = self.lookups.impressions if record.kind == "imp" else self.lookups.clicks
            lookup.store(record.id, Tracker.decode(record.encode()))

    def submit(self, group: list[bytes], waiter: Waiter | None, gathered: bool = False) -> bool:
        assert gathered
        assert group[0].startswith(b"[2,")
        self.lines += [b"{%b}" % line for line in group[1:]]
        self.groups.append(len(group) - 1)
        if waiter is not None:
            waiter.on_durable(True)
        return True

    def poll(self) -> None:
        """Do nothing: `submit` has reported the events durable."""

    def flush(self) -> None:
        """Do nothing: `submit` has reported the events durable."""

    def ask(self, *requests: bytes, clients: list[Client] | None = None, new: bool = False) -> list[Client]:
        """Handle one batch, each request on a connection of its own; return the connections."""
        clients = clients or [Client() for _ in requests]
        self.connections.update((client.fd, client) for client in clients)
        batch = self.batcher.new_batch()
        if new:
            batch.accepted += clients
        self.batcher.add(batch, [client.fd for client in clients], list(requests))
        self.batcher.submit(batch)
        self.batcher.complete(batch)
        for client in clients:
            client.receive()
        self.connections.clear()
        return clients

    def outcome(self, data: bytes) -> Outcome:
        self.lines.clear()
        (client,) = self.ask(data)
        if client.declined:
            assert (client.text, client.answers, self.lines) == (b"", [], [])
            return "declined", None, None
        kept = "closed" if client.close_after_response else "kept"
        if client.answers:
            return kept, str(client.answers[0].reason), None
        (line,) = self.lines
        assert (b"\r\nconnection: close\r\n" in client.text) == client.closed == client.close_after_response
        return kept, client.text.partition(b"content-type: ")[2][:10].decode(), orjson.loads(line)

    def parsed_outcome(self, data: bytes) -> Outcome:
        """Return the outcome of parsing and deciding the request, without what is remembered."""
        request = request_parser.parse_request(data)
        if request is None:
            return "declined", None, None
        headers = request_parser.split_headers(data)
        address = network_member(self.recorder.trusted_proxies.client_address("203.0.113.9", headers))
        try:
            decision, line = self.recorder.decisions.decide(
                request.kind, request.tag, request.client, request.referrer, address
            )
        except CacheMiss:
            return "declined", None, None
        kept = "closed" if request.close else "kept"
        if line is None:
            return kept, str(decision.reason), None
        text = self.responses.render(decision)
        return kept, text.partition(b"content-type: ")[2][:10].decode(), orjson.loads(b"{%b}" % line)

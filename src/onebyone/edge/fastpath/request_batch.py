"""One batch: its events, and who waits for them to be on disk.

While the disk is quick the answers are given within the call that recorded them. Otherwise the connections of the batch
are held until it has been written: nothing more is read of them, and they are answered one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog

from onebyone.edge.fastpath.response_cache import ResponseCache, with_close
from onebyone.edge.fastpath.socket_io import write_each
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags.decision import Decision
from onebyone.edge.tags.reasons import Reason

_log = structlog.get_logger()


class Connection(Protocol):
    """What requests come from."""

    fd: int
    """The descriptor of its socket; -1: it is gone."""
    peer: str
    """Its address."""
    network: bytes
    """The same, truncated, as a member of an event line."""
    idle_deadline: float | None
    """When it is closed unless something comes, on the loop's clock; None: it waits for the disk."""
    close_after_response: bool
    """The next answer is the last."""

    def respond(self, decision: Decision) -> None:
        """Gives this answer."""

    def on_written(self, text: bytes, taken: int) -> None:
        """Its socket took so many bytes of an answer; -1: the client has gone."""

    def hold(self) -> None:
        """It waits for the disk: nothing is read before its answer."""

    def watch(self) -> None:
        """Waits for the next request, if there may be one."""

    def decline(self, data: bytes) -> None:
        """The request is not for us."""

    def close(self) -> None:
        """There will be no answer."""


class RequestBatch:
    """The events of one batch, and who waits for them to be on disk."""

    def __init__(self, recorder: Recorder, responses: ResponseCache, connections: Mapping[int, Connection]) -> None:
        """`connections`: by descriptor."""
        self._recorder = recorder
        self._responses = responses
        self._connections = connections
        self.lines: list[bytes] = []
        self.kept: list[int] = []
        """Connections that are kept behind the answer, by their descriptors, and of each its decision."""
        self.kept_decisions: list[Decision] = []
        self.closing: list[int] = []
        """Connections that are closed behind it."""
        self.closing_decisions: list[Decision] = []
        self.accepted: list[Connection] = []
        """Connections that were made for it, and are watched behind it."""
        self._responded = False
        self._held: list[Connection] = []

    @property
    def fds(self) -> set[int]:
        """Who waits, by their descriptors."""
        return {*self.kept, *self.closing}

    @property
    def unanswered(self) -> bool:
        """Whether there are answers that were not given."""
        return bool(self.lines) and not self._responded

    def suspend(self) -> None:
        """The loop goes on to others: answers that were not given by now wait for the disk."""
        if self.unanswered:
            # Not by their descriptors: one that is closed meanwhile may come again as another's.
            self._held = self._waiting_connections()
            for connection in self._held:
                connection.hold()
        for connection in self.accepted:
            if connection.fd >= 0:
                connection.watch()

    def abandon(self) -> None:
        """Nothing of it is recorded, and who waits is closed: nobody would ever answer."""
        for connection in self._waiting_connections():
            connection.close()
        for part in (self.lines, self.kept, self.kept_decisions, self.closing, self.closing_decisions):
            part.clear()

    def on_durable(self, ok: bool) -> None:
        """The events are on disk, or the disk refused them."""
        self.respond(None if ok else Reason.JOURNAL)

    def respond(self, reason: Reason | None) -> None:
        """Gives all answers; `reason`: why nothing is counted after all."""
        self._responded = True
        responses = self._responses
        try:
            if reason is not None or self._held or self._recorder.draining.is_set():
                self._respond_individually(reason)
                return
            self._write(self.kept, responses.render_all(self.kept_decisions))
            if self.closing:
                self._write(self.closing, [*map(with_close, responses.render_all(self.closing_decisions))])
        except Exception:
            _log.exception("a batch could not be answered")
            for connection in self._held or self._waiting_connections():
                connection.close()

    def _respond_individually(self, reason: Reason | None) -> None:
        decisions = (*self.kept_decisions, *self.closing_decisions)
        for connection, made in zip(self._held or self._waiting_connections(), decisions, strict=True):
            try:
                connection.respond(made if reason is None else self._recorder.refuse(made, reason))
                if self._held:
                    connection.watch()
            except Exception:
                # Whatever is wrong with one connection, the others of its batch get their answer.
                _log.exception("an answer could not be written")
                connection.close()

    def _waiting_connections(self) -> list[Connection]:
        """Those that wait; who was answered for the last time is no more among them."""
        connections = self._connections
        return [connections[fd] for fd in (*self.kept, *self.closing) if fd in connections]

    def _write(self, fds: list[int], texts: list[bytes]) -> None:
        taken = write_each(fds, texts)
        if fds is self.kept and sum(taken) == sum(map(len, texts)):
            return
        for fd, text, size in zip(fds, texts, taken, strict=True):
            connection = self._connections[fd]
            try:
                connection.on_written(text, size)
            except Exception:
                # Whatever is wrong with one connection, the others of its batch get their answer.
                _log.exception("an answer could not be written")
                connection.close()

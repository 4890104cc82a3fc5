"""One request batch: the events of the requests that were read together, and the connections that wait for them.

While the disk is quick, the responses are written within the call that recorded the events. Otherwise the connections
of the batch are held until it is on disk: nothing more is read from them, and they are answered one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from onebyone.edge.fastpath.connection import IDLE, Connection
from onebyone.edge.fastpath.response_cache import ResponseCache, with_close
from onebyone.edge.fastpath.socket_io import write_each
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags.decision import Decision, EventLine
from onebyone.edge.tags.reasons import Reason

_log = structlog.get_logger()


class RequestBatch:
    """The events of one batch, and the connections that wait for them to be on disk."""

    def __init__(self, recorder: Recorder, responses: ResponseCache, connections: Mapping[int, Connection]) -> None:
        """Create an empty batch. `connections` are all open connections by descriptor."""
        self._recorder = recorder
        self._responses = responses
        self._connections = connections
        self.events: list[EventLine] = []
        self.kept_fds: list[int] = []
        """The connections that stay open after their response."""
        self.kept_decisions: list[Decision] = []
        """The decision for each of `kept_fds`."""
        self.closing_fds: list[int] = []
        """The connections that are closed after their response."""
        self.closing_decisions: list[Decision] = []
        """The decision for each of `closing_fds`."""
        self.uncounted: list[Decision] = []
        """The decisions whose events are kept but not counted."""
        self.accepted: list[Connection] = []
        """New connections, which are not watched yet: most of those that close after one response never are."""
        self._responded = False
        self._held: list[Connection] = []

    @property
    def fds(self) -> set[int]:
        """The descriptors of the connections with an event in this batch."""
        return {*self.kept_fds, *self.closing_fds}

    @property
    def unanswered(self) -> bool:
        """Whether responses of this batch are still to be written."""
        return bool(self.events) and not self._responded

    def suspend(self) -> None:
        """Prepare for the loop to serve others: hold connections without a response, watch the accepted ones."""
        if self.events and not self._responded:
            # As objects: the descriptor of one that is closed meanwhile may come again as another connection's.
            self._held = self._waiting_connections()
            for connection in self._held:
                connection.hold()
        for connection in self.accepted:
            if connection.state is IDLE:
                connection.watch()

    def abandon(self) -> None:
        """Record nothing, and close the connections that wait for a response."""
        for connection in self._waiting_connections():
            connection.close()
        for part in (self.events, self.kept_fds, self.kept_decisions, self.closing_fds, self.closing_decisions):
            part.clear()
        self.uncounted.clear()

    def on_durable(self, ok: bool) -> None:
        """Respond after the group commit: the events are on disk, or the journal refused them."""
        self.respond(None if ok else Reason.JOURNAL)

    def respond(self, reason: Reason | None) -> None:
        """Write all responses; with a `reason` the events were not recorded, and the responses say so."""
        self._responded = True
        if reason is None:
            for decision in self.uncounted:
                self._recorder.count_kept(decision)
        try:
            if reason is not None or self._held or self._recorder.draining.is_set():
                self._respond_individually(reason)
                return
            render_all = self._responses.render_all
            self._write(self.kept_fds, render_all(self.kept_decisions))
            if self.closing_fds:
                self._write(self.closing_fds, [*map(with_close, render_all(self.closing_decisions))])
        except Exception:
            _log.exception("cannot answer a request batch")
            for connection in self._held or self._waiting_connections():
                connection.close()

    def _respond_individually(self, reason: Reason | None) -> None:
        decisions = (*self.kept_decisions, *self.closing_decisions)
        for connection, decision in zip(self._held or self._waiting_connections(), decisions, strict=True):
            try:
                connection.respond(decision if reason is None else self._recorder.refuse(decision, reason))
                if self._held:
                    connection.watch()
            except Exception:
                # A fault in one connection must not cost the others of the batch their response.
                _log.exception("cannot write a response")
                connection.close()

    def _waiting_connections(self) -> list[Connection]:
        """Return the connections of this batch that are still open."""
        connections = self._connections
        return [connections[fd] for fd in (*self.kept_fds, *self.closing_fds) if fd in connections]

    def _write(self, fds: list[int], responses: list[bytes]) -> None:
        written = write_each(fds, responses)
        if fds is self.kept_fds and sum(written) == sum(map(len, responses)):
            return
        for fd, response, size in zip(fds, responses, written, strict=True):
            connection = self._connections[fd]
            try:
                connection.on_written(response, size)
            except Exception:
                # A fault in one connection must not cost the others of the batch their response.
                _log.exception("cannot write a response")
                connection.close()

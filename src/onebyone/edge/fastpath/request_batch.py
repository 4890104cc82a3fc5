"""One turn: its events, and who waits for them to be on disk.

While the disk is quick the answers are given within the call that recorded them. Otherwise the connections of the turn
are held until it has been written: nothing more is read of them, and they are answered one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog
from uvicorn.server import ServerState

from onebyone.edge.asgi import Edge
from onebyone.edge.fastpath.response_cache import last
from onebyone.edge.fastpath.socket_io import write_each
from onebyone.edge.tags.decision import Decision
from onebyone.edge.tags.reasons import Reason

_log = structlog.get_logger()


class Connection(Protocol):
    """What requests come from."""

    number: int
    """The descriptor of its socket; -1: it is gone."""
    peer: str
    """Its address."""
    network: bytes
    """The same, truncated, as a member of an event line."""
    silent_until: float | None
    """When it is closed unless something comes, on the loop's clock; None: it waits for the disk."""
    closes: bool
    """The next answer is the last."""

    def answer(self, decision: Decision) -> None:
        """Gives this answer."""

    def wrote(self, text: bytes, taken: int) -> None:
        """Its socket took so many bytes of an answer; -1: the client has gone."""

    def hold(self) -> None:
        """It waits for the disk: nothing is read before its answer."""

    def watch(self) -> None:
        """Waits for the next request, if there may be one."""

    def decline(self, data: bytes) -> None:
        """The request is not for us."""

    def close(self) -> None:
        """There will be no answer."""


class Turn:
    """The events of one batch, and who waits for them to be on disk."""

    def __init__(self, edge: Edge, state: ServerState, connections: Mapping[int, Connection]) -> None:
        """`state` has uvicorn's headers. `connections`: by descriptor."""
        self._edge = edge
        self._state = state
        self._connections = connections
        self.lines: list[bytes] = []
        self.staying: list[int] = []
        """Connections that are kept behind the answer, by their descriptors, and of each its decision."""
        self.decisions: list[Decision] = []
        self.leaving: list[int] = []
        """Connections that are closed behind it."""
        self.last_decisions: list[Decision] = []
        self.arrived: list[Connection] = []
        """Connections that were made for it, and are watched behind it."""
        self._given = False
        self._held: list[Connection] = []

    @property
    def numbers(self) -> set[int]:
        """Who waits, by their descriptors."""
        return {*self.staying, *self.leaving}

    @property
    def waits(self) -> bool:
        """Whether there are answers that were not given."""
        return bool(self.lines) and not self._given

    def leave(self) -> None:
        """The loop goes on to others: answers that were not given by now wait for the disk."""
        if self.waits:
            # Not by their descriptors: one that is closed meanwhile may come again as another's.
            self._held = self._waiting()
            for connection in self._held:
                connection.hold()
        for connection in self.arrived:
            if connection.number >= 0:
                connection.watch()

    def drop(self) -> None:
        """Nothing of it is recorded, and who waits is closed: nobody would ever answer."""
        for connection in self._waiting():
            connection.close()
        for part in (self.lines, self.staying, self.decisions, self.leaving, self.last_decisions):
            part.clear()

    def on_durable(self, ok: bool) -> None:
        """The events are on disk, or the disk refused them."""
        self.give(None if ok else Reason.JOURNAL)

    def give(self, reason: Reason | None) -> None:
        """Gives all answers; `reason`: why nothing is counted after all."""
        self._given = True
        wire, headers = self._edge.wire, self._state.default_headers
        try:
            if reason is not None or self._held or self._edge.draining:
                self._give_one_by_one(reason)
                return
            self._write(self.staying, wire.texts(self.decisions, headers))
            if self.leaving:
                self._write(self.leaving, [*map(last, wire.texts(self.last_decisions, headers))])
        except Exception:
            _log.exception("a turn could not be answered")
            for connection in self._held or self._waiting():
                connection.close()

    def _give_one_by_one(self, reason: Reason | None) -> None:
        decisions = (*self.decisions, *self.last_decisions)
        for connection, made in zip(self._held or self._waiting(), decisions, strict=True):
            try:
                connection.answer(made if reason is None else made.unless(reason))
                if self._held:
                    connection.watch()
            except Exception:
                # Whatever is wrong with one connection, the others of its turn get their answer.
                _log.exception("an answer could not be written")
                connection.close()

    def _waiting(self) -> list[Connection]:
        """Those that wait; who was answered for the last time is no more among them."""
        connections = self._connections
        return [connections[number] for number in (*self.staying, *self.leaving) if number in connections]

    def _write(self, numbers: list[int], texts: list[bytes]) -> None:
        taken = write_each(numbers, texts)
        if numbers is self.staying and sum(taken) == sum(map(len, texts)):
            return
        for number, text, size in zip(numbers, texts, taken, strict=True):
            connection = self._connections[number]
            try:
                connection.wrote(text, size)
            except Exception:
                # Whatever is wrong with one connection, the others of its turn get their answer.
                _log.exception("an answer could not be written")
                connection.close()

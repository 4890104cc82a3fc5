"""The states of a connection: each transition of the table, by name and by an event that causes it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from itertools import product

import pytest
from uvicorn.server import ServerState

from onebyone.edge.fastpath.connection import (
    AWAITING_DISK,
    CLOSED,
    HANDED_OVER,
    IDLE,
    TRANSITIONS,
    Connection,
    IllegalTransition,
    State,
)
from onebyone.edge.fastpath.response_cache import ResponseCache
from onebyone.edge.tags import responses
from onebyone.edge.tags.decision import Decision

GIF = Decision("imp", responses.GIF, None)


class Owner:
    """An acceptor that notes what a connection asks of it."""

    def __init__(self) -> None:
        self.responses = ResponseCache(ServerState())
        self.draining = asyncio.Event()
        self.calls: list[str] = []

    def next_idle_deadline(self) -> float:
        return 1075.0

    def watch(self, connection: Connection) -> None:
        self.calls.append("watch")

    def unwatch(self, connection: Connection) -> None:
        self.calls.append("unwatch")

    def detach(self, connection: Connection) -> int:
        self.calls.append("detach")
        return connection.fd

    def hand_over(self, connection: Connection, data: bytes, unsent: bytes) -> None:
        self.calls.append("hand over")
        os.close(connection.fd)


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def connection(owner: Owner) -> Iterator[Connection]:
    """An idle connection, whose client reads."""
    ours, theirs = socket.socketpair()
    made = Connection(owner, ours.detach(), ("203.0.113.9", 1234), 1000.0)
    yield made
    theirs.close()
    made.close()


def close_after_response(connection: Connection) -> None:
    connection.close_after_response = True
    connection.respond(GIF)


def write_half(connection: Connection) -> None:
    connection.on_written(b"response", 4)


def write_to_nobody(connection: Connection) -> None:
    connection.on_written(b"response", -1)


ACTIONS: dict[str, Callable[[Connection], None]] = {
    "respond": lambda connection: connection.respond(GIF),
    "last response": close_after_response,
    "write half": write_half,
    "hold": Connection.hold,
    "watch": Connection.watch,
    "decline": lambda connection: connection.decline(b"POST / HTTP/1.1\r\n\r\n"),
    "shutdown": Connection.shutdown,
    "close": Connection.close,
}

REFUSED = IllegalTransition
OUTCOMES: list[tuple[str, list[State | type[IllegalTransition]]]] = [
    # From: IDLE, AWAITING_DISK, HANDED_OVER, CLOSED.
    ("respond", [IDLE, IDLE, REFUSED, REFUSED]),
    ("last response", [CLOSED, CLOSED, REFUSED, REFUSED]),
    ("write half", [HANDED_OVER, REFUSED, REFUSED, REFUSED]),
    ("hold", [AWAITING_DISK, REFUSED, REFUSED, REFUSED]),
    ("watch", [IDLE, AWAITING_DISK, HANDED_OVER, CLOSED]),
    ("decline", [HANDED_OVER, REFUSED, REFUSED, REFUSED]),
    ("shutdown", [CLOSED, AWAITING_DISK, HANDED_OVER, CLOSED]),
    ("close", [CLOSED, CLOSED, HANDED_OVER, CLOSED]),
]
CASES = [
    pytest.param(action, state, outcome, id=f"{action} when {state.value}")
    for action, outcomes in OUTCOMES
    for state, outcome in zip(State, outcomes, strict=True)
]


def enter(connection: Connection, state: State) -> None:
    """Bring an idle connection into a state, as the product does."""
    if state is AWAITING_DISK:
        connection.hold()
    elif state is HANDED_OVER:
        connection.decline(b"POST / HTTP/1.1\r\n\r\n")
    elif state is CLOSED:
        connection.close()


def test_the_table_has_every_state() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize(("state", "following"), [*product(State, State)], ids=lambda state: state.value)
def test_only_the_transitions_of_the_table_are_allowed(connection: Connection, state: State, following: State) -> None:
    enter(connection, state)
    if following in TRANSITIONS[state]:
        connection._enter(following)
        assert connection.state is following
    else:
        with pytest.raises(IllegalTransition):
            connection._enter(following)
        assert connection.state is state
    # `_enter` has changed nothing else: the fixture closes the socket by the state before.
    connection.state = state


@pytest.mark.parametrize(("action", "state", "outcome"), CASES)
def test_what_happens_to_a_connection(
    connection: Connection, owner: Owner, action: str, state: State, outcome: State | type[IllegalTransition]
) -> None:
    enter(connection, state)
    owner.calls.clear()
    if outcome is REFUSED:
        with pytest.raises(IllegalTransition):
            ACTIONS[action](connection)
        assert (connection.state, owner.calls) == (state, [])
        return
    ACTIONS[action](connection)
    assert connection.state is outcome
    assert outcome is state or outcome in TRANSITIONS[state]


def test_every_transition_of_the_table_happens() -> None:
    happening = {(state, outcome) for _, outcomes in OUTCOMES for state, outcome in zip(State, outcomes, strict=True)}
    table = {(state, following) for state, allowed in TRANSITIONS.items() for following in allowed}
    assert table <= happening


@pytest.mark.parametrize("state", [HANDED_OVER, CLOSED], ids=lambda state: state.value)
def test_a_socket_that_is_not_the_connections_is_never_touched(
    connection: Connection, owner: Owner, state: State
) -> None:
    enter(connection, state)
    owner.calls.clear()
    for action in (Connection.watch, Connection.shutdown, Connection.close):
        action(connection)
    assert owner.calls == []


def test_a_shutdown_while_the_disk_works_closes_after_the_response(connection: Connection, owner: Owner) -> None:
    connection.hold()
    connection.shutdown()
    assert connection.state is AWAITING_DISK
    connection.respond(GIF)
    assert (connection.state, owner.calls) == (CLOSED, ["unwatch", "detach"])


def test_a_client_that_has_gone_closes_the_connection(connection: Connection) -> None:
    write_to_nobody(connection)
    assert connection.state is CLOSED
